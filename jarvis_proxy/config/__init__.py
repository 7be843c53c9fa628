"""What is configured: the environment and .env become frozen settings."""
