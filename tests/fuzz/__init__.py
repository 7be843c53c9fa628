"""Fuzzing: ``python -m tests.fuzz --seconds 600 TARGET`` tries for as long as it is told to."""
