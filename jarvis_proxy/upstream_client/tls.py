"""TLS to upstreams that can still decrypt received data after a failed write. IO.

Event loops use ``SSLContext.wrap_bio``, and drop data that is not decrypted yet when a connection
fails.
"""

import contextlib
import ssl
from functools import cache
from typing import Final

_READ: Final = 64 * 1024


class ReadableObject(ssl.SSLObject):
    """The TLS state of one connection; *incoming* holds its undecrypted data."""

    incoming: ssl.MemoryBIO


class UpstreamContext(ssl.SSLContext):
    """A TLS context whose connections are ``ReadableObject``."""

    sslobject_class = ReadableObject

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Return a connection's TLS object, and keep a reference to its input buffer."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(made, ReadableObject):
            made.incoming = incoming
        return made


@cache
def default_context() -> UpstreamContext:
    """Return the shared context, which trusts the system's authorities (or SSL_CERT_FILE).

    It verifies host names, and is as strict as Python's own default.
    """
    context = UpstreamContext(ssl.PROTOCOL_TLS_CLIENT)
    # ssl.create_default_context cannot make a subclass; CLIENT_AUTH loads no certificates.
    context.verify_flags |= ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).verify_flags
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    context.set_alpn_protocols(("http/1.1",))
    return context


def decrypted(tls: object, data: bytes) -> bytes:
    """Return the plaintext of the data that *tls* has not decrypted yet, and of *data* after it."""
    if not isinstance(tls, ReadableObject):
        return b""
    tls.incoming.write(data)
    pieces = []
    # The error marks the end of the data, or an incomplete record.
    with contextlib.suppress(ssl.SSLError):
        while piece := tls.read(_READ):
            pieces.append(piece)
    return b"".join(pieces)
