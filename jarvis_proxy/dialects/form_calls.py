"""Calls whose request is a form: what the shell must know before they are read. Pure."""

from jarvis_proxy.dialects.transcription.options import wants_stream
from jarvis_proxy.wire.multipart_form import read_form


def asks_for_stream(body: bytes, content_type: str) -> bool:
    """Return whether the form in *body* asks for a stream that its endpoint can give.

    Raises:
        ProxyError: 400 `invalid_multipart`.
    """
    return wants_stream(read_form(body, content_type))
