"""Anthropic's Messages API as an upstream. Pure."""
