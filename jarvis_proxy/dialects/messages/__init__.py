"""The Anthropic Messages API for clients. Pure."""
