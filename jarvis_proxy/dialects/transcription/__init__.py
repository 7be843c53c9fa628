"""``/v1/audio/transcriptions`` and ``/translations``: sound in, text out. Pure."""
