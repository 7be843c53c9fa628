"""Configuration: the environment and .env become frozen settings."""
