"""Chat completions as an upstream API, for clients of other APIs. Pure.

Clients of chat completions themselves are relayed (``upstreams/openai.py``).
"""
