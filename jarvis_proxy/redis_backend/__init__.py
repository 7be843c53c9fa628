"""Shares limits, quarantines, signatures and usage through Redis or Valkey."""
