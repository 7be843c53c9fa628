"""Tests of the transcription dialect."""
