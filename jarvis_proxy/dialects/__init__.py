"""What clients speak, a folder per API: its requests, its answers, its errors. Pure."""
