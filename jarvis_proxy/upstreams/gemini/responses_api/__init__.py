"""OpenAI's Responses API on Gemini: a request as the chat that asks the same, and back. Pure."""
