"""TLS to upstreams that can still decrypt received data after a failed write. IO.

Event loops do TLS by ``SSLContext.wrap_bio``, and drop what they have not decrypted when a
connection fails.
"""

import contextlib
import ssl
from functools import cache
from typing import Final

_READ: Final = 64 * 1024


class ReadableObject(ssl.SSLObject):
    """TLS of one connection; *incoming* is what it decrypts from."""

    incoming: ssl.MemoryBIO


class UpstreamContext(ssl.SSLContext):
    """Settings of TLS; connections made with it are ``ReadableObject``."""

    sslobject_class = ReadableObject

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Return TLS for a connection, and keep the buffer that it reads from."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(made, ReadableObject):
            made.incoming = incoming
        return made


@cache
def default_context() -> UpstreamContext:
    """Return the one context that trusts the system's authorities (or SSL_CERT_FILE).

    It checks names, and is as strict as Python's own default.
    """
    context = UpstreamContext(ssl.PROTOCOL_TLS_CLIENT)
    # ssl.create_default_context makes no subclasses; this purpose loads no certificates.
    context.verify_flags |= ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).verify_flags
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    context.set_alpn_protocols(("http/1.1",))
    return context


def decrypted(tls: object, data: bytes) -> bytes:
    """Return the plain text of *data*, and of what *tls* had not decrypted before it."""
    if not isinstance(tls, ReadableObject):
        return b""
    tls.incoming.write(data)
    pieces = []
    with contextlib.suppress(ssl.SSLError):  # the end, or the middle of a record
        while piece := tls.read(_READ):
            pieces.append(piece)
    return b"".join(pieces)
