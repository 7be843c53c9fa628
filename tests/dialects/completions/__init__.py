"""Tests of the completions dialect."""
