"""Gemini as an upstream, for clients of any API."""
