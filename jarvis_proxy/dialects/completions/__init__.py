"""``/v1/completions``: a text to go on with, as a chat of one turn. Pure."""
