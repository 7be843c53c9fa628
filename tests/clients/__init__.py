"""Real clients against the proxy, at versions that docs/clients/README.md names."""
