"""Jarvis proxy: OpenAI's API in front of OpenAI, Gemini and other upstreams."""

__version__ = "0.1.0"
