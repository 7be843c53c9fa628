"""Gemini behind OpenAI's dialect."""
