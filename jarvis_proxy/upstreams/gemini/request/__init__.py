"""Requests to Gemini, written from OpenAI's form. Pure."""
