"""Formats on the wire: SSE, headers, the head of a request, multipart forms, JSON limits. Pure."""
