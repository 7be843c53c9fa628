"""Gemini's answers, read into OpenAI's form. Pure."""
