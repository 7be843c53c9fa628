"""OpenAI's Realtime API: what a relay has to know of its handshake and its events."""
