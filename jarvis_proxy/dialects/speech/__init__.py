"""``/v1/audio/speech``: a text to be spoken, and the sound that comes. Pure."""
