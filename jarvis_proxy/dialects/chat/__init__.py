"""OpenAI's chat completions API, as clients of translated upstreams speak it. Pure."""
