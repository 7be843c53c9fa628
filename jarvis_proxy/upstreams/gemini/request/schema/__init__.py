"""Converts JSON Schemas to Gemini's dialect. Pure."""
