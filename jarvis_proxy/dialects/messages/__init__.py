"""The Anthropic Messages API as clients speak it. Pure."""
