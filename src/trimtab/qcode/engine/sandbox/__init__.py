"""Processes that run programs which nobody has read, and what keeps them from doing harm."""
