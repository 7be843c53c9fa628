"""Relays Google's generateContent without changing its bytes. Pure."""
