"""``/v1/audio/speech``: converts text to audio. Pure."""
