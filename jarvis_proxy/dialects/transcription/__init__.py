"""``/v1/audio/transcriptions`` and ``/translations``: converts audio to text. Pure."""
