"""Why a TLS handshake failed, and what to do about it. Pure."""

import ssl
from dataclasses import dataclass
from typing import Final

# OpenSSL's X509_V_ERR_*: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_UNKNOWN_ISSUER: Final = frozenset((2, 18, 19, 20, 21, 27))
_OTHER_NAME: Final = frozenset((62, 64))
_PLAIN_TEXT: Final = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"))


@dataclass(frozen=True, slots=True)
class TlsError:
    """What is wrong with the other side's TLS; *kind* chooses the advice."""

    kind: str
    detail: str


def classify_tls_error(exc: OSError) -> TlsError:
    """Return what *exc*, raised by a handshake, says."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _certificate_fault(exc)
    if isinstance(exc, TimeoutError):
        return TlsError("silent", "the TLS handshake got no answer")
    reason = getattr(exc, "reason", None)  # not every ssl.SSLError has one
    if reason in _PLAIN_TEXT:
        return TlsError("plain", "what answers there does not speak TLS")
    if reason:
        return TlsError("other", f"the TLS handshake failed: {str(reason).lower()}")
    return TlsError("cut", "the connection was cut during the TLS handshake")


def _certificate_fault(exc: ssl.SSLCertVerificationError) -> TlsError:
    code = exc.verify_code
    if code == _EXPIRED:
        return TlsError("expired", "its certificate has expired")
    if code == _NOT_YET_VALID:
        return TlsError("future", "its certificate is not valid yet")
    if code in _UNKNOWN_ISSUER:
        return TlsError("issuer", "its certificate is not signed by anyone this machine trusts")
    if code in _OTHER_NAME:
        return TlsError("name", "its certificate is for another name")
    return TlsError("other", f"its certificate is refused: {exc.verify_message}")


_ON_ANY_MACHINE: Final = {
    "silent": "Is there a firewall in between that lets connections pass but no data?",
    "cut": "Is there a firewall in between that looks into TLS? Ask whoever runs the network.",
    "other": "Ask whoever runs the other side, or the network in between.",
}
_UPSTREAM: Final = {
    "expired": "Is the clock of this machine right? If it is, the upstream has to renew its"
    " certificate.",
    "future": "Is the clock of this machine right? Turn on time synchronisation:"
    " timedatectl set-ntp true",
    "issuer": "Install or update the system's certificates (apt install ca-certificates). If the"
    " network opens TLS, or the upstream is your own, give its CA: set SSL_CERT_FILE to a bundle"
    " that holds it, for this process.",
    "name": "Does the base URL name the right host? If it does, somebody else answers for it:"
    " look at this machine's DNS and hosts file.",
    "plain": "Is the port in the base URL right? An upstream without TLS is written http://.",
}
_OWN_SITE: Final = {
    "expired": "Renew the certificate (certbot renew, for example) and reload what serves it.",
    "future": "Are the clocks of this machine and of the server right?",
    "issuer": "Clients will refuse it. Serve a certificate of a public authority (Caddy and"
    " certbot get one), and the whole chain: the file is fullchain.pem, not cert.pem.",
    "name": "Clients will refuse it. Serve a certificate for this very name.",
    "plain": "Use http:// for this port, or set up TLS on it.",
}


def upstream_advice(fault: TlsError) -> str:
    """Return what to do when it is an upstream that shows *fault*."""
    return _UPSTREAM.get(fault.kind) or _ON_ANY_MACHINE[fault.kind]


def own_site_advice(fault: TlsError) -> str:
    """Return what to do when it is our own address that shows *fault*."""
    return _OWN_SITE.get(fault.kind) or _ON_ANY_MACHINE[fault.kind]
