"""Tests of the speech dialect."""
