"""How each client is set up for the proxy."""
