"""Chat completions as an upstream API, for clients of other APIs. Pure.

Clients that use chat completions themselves are relayed (``upstreams/openai.py``).
"""
