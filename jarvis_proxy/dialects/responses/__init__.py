"""OpenAI's Responses API for clients of translated upstreams. Pure."""
