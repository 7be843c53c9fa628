"""Google's generateContent, relayed: bytes in, the same bytes out. Pure."""
