"""Scripts for those who make releases."""
