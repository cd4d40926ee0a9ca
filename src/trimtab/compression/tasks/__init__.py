"""Prompts to compress: read from files (LongBench's format) or generated, at any length."""
