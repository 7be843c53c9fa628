"""Canonical requests as requests of Anthropic's Messages API. Pure."""
