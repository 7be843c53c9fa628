"""Reads Gemini's answers into canonical events. Pure."""
