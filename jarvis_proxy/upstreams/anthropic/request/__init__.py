"""Converts canonical requests to requests of Anthropic's Messages API. Pure."""
