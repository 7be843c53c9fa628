"""JSON Schema in the form that Gemini takes. Pure."""
