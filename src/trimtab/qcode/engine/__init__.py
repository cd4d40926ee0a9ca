"""Untrusted programs, run and graded: executors, isolation, verdicts. Useful alone; knows nothing of policies."""
