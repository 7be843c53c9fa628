"""OpenAI's Responses API as clients of translated upstreams speak it. Pure."""
