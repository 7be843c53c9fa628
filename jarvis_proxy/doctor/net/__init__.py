"""The doctor's network access: names, connections, TLS, HTTP."""
