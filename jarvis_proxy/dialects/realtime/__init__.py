"""OpenAI's Realtime API: the parts of its handshake and events that a relay needs."""
