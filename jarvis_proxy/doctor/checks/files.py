"""Checks the files that the server reads at its start: .env, certificate, key. IO (reads files).

The standard library gives a certificate's dates only after a trusted handshake. So this module
performs a handshake in memory that trusts the file, whatever its dates. Both sides are this
process.
"""

import contextlib
import os
import ssl
import stat
from pathlib import Path
from typing import Any, Final

from jarvis_proxy.config.budgets import day_of
from jarvis_proxy.config.dotenv_file import env_file_warnings
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.doctor.findings import Check, Finding
from jarvis_proxy.doctor.net.reachability import EXPIRES_SOON, in_days

_TLS: Final = Check("checks/files", "TLS files")
_NO_CHECK_TIME: Final = 0x20_0000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python does not name."""

_MARK: Final = b" CERTIFICATE-----"
"""Occurs at the beginning and at the end of each certificate."""


class _EncryptedKeyError(Exception):
    """The private key needs a password, which a server cannot enter."""


def env_file(path: Path) -> list[Finding]:
    """Check that the .env file exists, its permissions, and its names."""
    check = Check("checks/files", "env file", title=f"{path.name} file")
    if not path.exists():
        return [check.finding("missing")]
    hints = [check.finding("hint", hint=hint) for hint in env_file_warnings(path)]
    return hints or [check.finding("private")]


def tls_files(settings: Settings, now: float) -> list[Finding]:
    """Check that the server could serve HTTPS with its files, at the time *now* (epoch seconds)."""
    if not settings.tls_cert_file:
        return [_TLS.finding("off")]
    findings = [_check_certificate(settings, now)]
    if _is_readable_by_all(settings.tls_key_file):
        findings.append(_TLS.finding("open_key", path=settings.tls_key_file))
    return findings


def _check_certificate(settings: Settings, now: float) -> Finding:
    """Load the files as the server does, but never ask for a password."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        path = settings.tls_cert_file
        server.load_cert_chain(path, settings.tls_key_file, password=_refuse_password)
        peer = _read_certificate(path, server)
        has_chain = Path(path).read_bytes().count(_MARK) > 2
    except _EncryptedKeyError:
        return _TLS.finding("encrypted_key")
    except ssl.SSLCertVerificationError as exc:
        return _TLS.finding("refused", reason=exc.verify_message)
    except (OSError, ValueError) as exc:
        is_mismatch = getattr(exc, "reason", None) == "KEY_VALUES_MISMATCH"
        return _TLS.finding("other_key" if is_mismatch else "unreadable")
    start, end = (ssl.cert_time_to_seconds(peer[name]) for name in ("notBefore", "notAfter"))
    result = "sound" if has_chain else "no_chain"
    if end <= now:
        result = "expired"
    elif start > now:
        result = "not_yet_valid"
    elif peer["issuer"] == peer["subject"]:
        result = "self_signed"
    elif end - now < EXPIRES_SOON:
        result = "ends_soon"
    return _TLS.finding(result, until=day_of(end), since=day_of(start), left=in_days(end - now))


def _refuse_password() -> str:
    raise _EncryptedKeyError


def _read_certificate(path: str, server: ssl.SSLContext) -> dict[str, Any]:
    """Return the certificate that *server* loaded from *path*, in the form of ``getpeercert``.

    Raises:
        OSError: no client would accept it, whatever its dates (``ssl.SSLCertVerificationError``).
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(path)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client.wrap_bio(to_client, to_server)
    unfinished = [client_side, server.wrap_bio(to_server, to_client, server_side=True)]
    while unfinished:
        for side in tuple(unfinished):
            # The other side is next.
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
                unfinished.remove(side)
    return client_side.getpeercert() or {}


def _is_readable_by_all(path: str) -> bool:
    with contextlib.suppress(OSError):
        return os.name == "posix" and bool(os.stat(path).st_mode & (stat.S_IROTH | stat.S_IWOTH))
    return False
