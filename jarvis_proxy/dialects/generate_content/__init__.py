"""Google's generateContent API for clients. Pure."""
