"""Who may call, and how much: client keys, permissions, rate limits, client addresses. Pure."""
