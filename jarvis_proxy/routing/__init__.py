"""Which upstream serves a call: models, endpoints, retries, key pools, circuit breakers. Pure."""
