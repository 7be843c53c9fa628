"""Tests of the relay of Google's own API."""
