"""Access control: client keys, permissions, rate limits, client addresses. Pure."""
