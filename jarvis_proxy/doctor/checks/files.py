"""The files that the server starts from: .env, the certificate and its key. IO (reads files)."""

import os
import ssl
import stat
from pathlib import Path
from typing import Final

from jarvis_proxy.doctor.findings import Finding, ok, problem, skipped, warning
from jarvis_proxy.doctor.net.certificates import Certificate, parse_pem
from jarvis_proxy.doctor.net.reachability import EXPIRES_SOON, day, in_days
from jarvis_proxy.environment import env_file_hints
from jarvis_proxy.settings import Settings

_TLS: Final = "TLS files"
_MAX_PEM: Final = 1024 * 1024
_RENEW: Final = "Renew it (certbot renew, for example), then start the server again."


class _EncryptedKeyError(Exception):
    """The private key asks for a password, which a server cannot type."""


def env_file(path: Path) -> list[Finding]:
    """Return how it stands with the .env file: is it there, who may read it, odd names in it."""
    check = f"{path.name} file"
    if not path.exists():
        return [skipped(check, "there is none; settings come from the environment alone")]
    hints = env_file_hints(path)
    if hints:
        return [warning(check, hint) for hint in hints]
    return [ok(check, "readable by its owner alone")]


def tls_files(settings: Settings, now: float) -> list[Finding]:
    """Return whether the server could serve HTTPS with its files, at the time *now* (epoch)."""
    if not settings.tls_cert_file:
        return [skipped(_TLS, "TLS_CERT_FILE is not set: the server speaks plain HTTP")]
    if (fault := _load_fault(settings)) is not None:
        return [fault, *_key_permissions(settings.tls_key_file)]
    try:
        chain = parse_pem(_read(settings.tls_cert_file))
    except (OSError, ValueError):  # pragma: no cover
        # OpenSSL took the file: our own reader is at fault, and has nothing to say then.
        return [skipped(_TLS, "the certificate's dates cannot be read")]
    return [*_dates(chain, now), *_key_permissions(settings.tls_key_file)]


def _load_fault(settings: Settings) -> Finding | None:
    """Load the files as the server does, but never ask for a password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(
            settings.tls_cert_file, settings.tls_key_file, password=_refuse_password
        )
    except _EncryptedKeyError:
        return problem(
            _TLS,
            "the private key is encrypted, and a server cannot type its password",
            "Decrypt it into a file that only the server's user may read, and name that file in"
            " TLS_KEY_FILE:",
            "(umask 077; openssl pkey -in encrypted.key -out server.key)",
        )
    except (OSError, ValueError) as exc:
        if getattr(exc, "reason", None) == "KEY_VALUES_MISMATCH":
            return problem(
                _TLS,
                "the private key does not belong to the certificate",
                "Name the two files of one and the same certificate in TLS_CERT_FILE and"
                " TLS_KEY_FILE.",
            )
        return problem(
            _TLS,
            "OpenSSL cannot read the certificate or its key",
            "TLS_CERT_FILE must be a PEM file that starts with BEGIN CERTIFICATE, TLS_KEY_FILE one"
            " that starts with BEGIN PRIVATE KEY; are the two swapped?",
        )
    return None


def _refuse_password() -> str:
    raise _EncryptedKeyError


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(_MAX_PEM)


def _dates(chain: list[Certificate], now: float) -> list[Finding]:
    leaf = chain[0]
    until = f"valid until {day(leaf.not_after)}"
    if leaf.not_after <= now:
        return [problem(_TLS, f"the certificate expired on {day(leaf.not_after)}", _RENEW)]
    if leaf.not_before > now:
        return [
            problem(
                _TLS,
                f"the certificate is not valid before {day(leaf.not_before)}",
                "Is this machine's clock right (timedatectl)? Else use the right certificate.",
            )
        ]
    if leaf.is_self_signed:
        return [
            warning(
                _TLS,
                f"the certificate is self-signed ({until}), so most clients will refuse it",
                "Get one from a public authority (deploy/Caddyfile does it by itself), or tell"
                " each client to trust this one.",
            )
        ]
    left = leaf.not_after - now
    if left < EXPIRES_SOON:
        return [warning(_TLS, f"the certificate ends {in_days(left)} ({until})", _RENEW)]
    if len(chain) == 1:
        return [
            warning(
                _TLS,
                f"the file holds one certificate only ({until}); some clients will not find the"
                " authority behind it",
                "Use the file with the whole chain (fullchain.pem) unless a root signed it.",
            )
        ]
    return [ok(_TLS, f"certificate and key fit, {until}")]


def _key_permissions(path: str) -> list[Finding]:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return []
    if os.name != "posix" or not mode & (stat.S_IROTH | stat.S_IWOTH):
        return []
    return [
        warning(
            _TLS,
            "every user of this machine may read the private key",
            "Take the right away:",
            f"chmod o-rwx {path}",
        )
    ]
