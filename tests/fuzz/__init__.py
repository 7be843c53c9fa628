"""Fuzzing: ``python -m tests.fuzz --seconds 600 TARGET`` tries for that long."""
