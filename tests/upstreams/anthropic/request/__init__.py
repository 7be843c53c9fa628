"""Tests of the requests that are written for Anthropic."""
