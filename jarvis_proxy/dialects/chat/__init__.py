"""OpenAI's chat completions API, for clients of translated upstreams. Pure."""
