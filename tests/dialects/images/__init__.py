"""Tests of the images dialect."""
