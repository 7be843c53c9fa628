"""TLS that can be read after its event loop has dropped it."""

import ssl

import pytest
import trustme

from jarvis_proxy.upstream_client.tls import (
    ReadableObject,
    UpstreamContext,
    decrypted,
    default_context,
)


def test_default_is_as_strict_as_pythons_own() -> None:
    ours, default = default_context(), ssl.create_default_context()
    for name in ("verify_mode", "check_hostname", "verify_flags", "options", "minimum_version"):
        assert getattr(ours, name) == getattr(default, name), name
    assert len(ours.get_ca_certs()) == len(default.get_ca_certs())
    assert default_context() is ours  # certificates are loaded once


def _ends() -> tuple[ReadableObject, ssl.SSLObject, ssl.MemoryBIO]:
    """Return both ends of a session, and what carries the server's words."""
    authority = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("x.test").configure_cert(serving)
    trusting = UpstreamContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(there, back, server_side=True)
    client = trusting.wrap_bio(back, there, server_hostname="x.test")
    for _ in range(3):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert isinstance(client, ReadableObject)
    return client, server, back


def test_what_is_left_is_decrypted_up_to_a_record_that_was_cut() -> None:
    client, server, back = _ends()
    server.write(b"first")
    before = back.read()
    server.write(b"second")
    cut = back.read()[:-1]
    back.write(before)  # the event loop had it, and has not decrypted it
    assert decrypted(client, cut) == b"first"


def test_what_is_no_tls_is_no_plain_text() -> None:
    client, _, _ = _ends()
    assert decrypted(client, b"HTTP/1.1 200 OK\r\n\r\n") == b""


@pytest.mark.parametrize("tls", [None, ssl.create_default_context()])
def test_tls_of_others_cannot_be_read(tls: object) -> None:
    assert decrypted(tls, b"any") == b""
