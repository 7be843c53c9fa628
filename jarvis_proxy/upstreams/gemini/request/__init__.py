"""Converts canonical requests to requests of Gemini. Pure."""
