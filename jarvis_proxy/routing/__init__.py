"""Routing: models, endpoints, retries, key pools, circuit breakers. Pure."""
