"""``/v1/completions``: continues a text, as a chat of one turn. Pure."""
