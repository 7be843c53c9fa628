"""Parses client keys (PROXY_API_KEYS, ADMIN_KEY, METRICS_KEY) to digests. Pure."""

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from jarvis_proxy.config.parsers import EnvReader, is_placeholder, is_secret

MIN_KEY_LENGTH: Final = 16
"""A shorter client key is weak, because it can be guessed."""

_EXAMPLE_DIGEST: Final = sha256(b"jarvis-local-secret").digest()
_CLIENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A client key: its SHA-256 digest, and the name in logs.

    *weak*: it is set in clear and has under 16 characters. *default*: it is the documentation's
    example.
    """

    name: str
    digest: bytes = field(repr=False)
    weak: bool = False
    default: bool = False


def client_keys(reader: EnvReader) -> tuple[ClientKey, ...]:
    """Return the keys in PROXY_API_KEYS; report a problem if there are none."""
    name = "PROXY_API_KEYS"
    entries = reader.entries(name)
    real = [entry for entry in entries if not is_placeholder(entry)]
    if not real and not reader.problems_of(name):
        reader.add_problem(name, _no_client_key(reader.near(name)))
    elif len(real) < len(entries):
        reader.warnings.append(f"{name} holds a placeholder, which opens nothing: remove it.")
    keys: list[ClientKey] = []
    for number, entry in enumerate(entries, 1):
        if entry not in real:
            continue
        key = _client_key(entry)
        if isinstance(key, str):
            reader.add_problem(name, f"entry {number} {key}")
        elif any(key.digest == other.digest for other in keys):
            reader.add_problem(name, f"entry {number} repeats an earlier key; remove one of them")
        elif any(key.name == other.name for other in keys):
            reader.add_problem(name, f"entry {number} has the name of an earlier key; rename one")
        else:
            keys.append(key)
    return tuple(keys)


def _no_client_key(near: str | None) -> str:
    message = (
        "must hold at least one client key; ./start.sh makes a random one when there is no"
        " .env, or set it to a long random text, such as what `openssl rand -hex 32` prints"
    )
    return message if near is None else f"{message}. {near} is set, but is no setting: rename it"


def admin_key(text: str) -> ClientKey:
    """Parse ADMIN_KEY: the key alone, or sha256:digest; weak keys are refused."""
    return _own_key("admin", text)


def metrics_key(text: str) -> ClientKey:
    """Parse METRICS_KEY, in the same form as ADMIN_KEY."""
    return _own_key("metrics", text)


def _own_key(name: str, text: str) -> ClientKey:
    key = None if is_placeholder(text) else _client_key(f"{name}:{text}")
    if not isinstance(key, ClientKey) or key.weak or key.default:
        raise ValueError(
            f"must be {MIN_KEY_LENGTH} or more visible ASCII characters without spaces and colons,"
            " best what `openssl rand -hex 32` prints, or the digest of such a key as"
            " sha256:digest"
        )
    return key


def _client_key(entry: str) -> ClientKey | str:
    """Return the key, or the problem as the end of the sentence "entry N …"."""
    name, colon, secret = entry.partition(":")
    name, secret = name.strip(), secret.strip()
    if not colon or name.lower() == "sha256":
        name, secret = "", entry
    elif not _CLIENT_NAME.fullmatch(name):
        return (
            "has a wrong name before its colon: letters, digits, . _ - and 64 of them at most"
            " (a key itself holds no colon)"
        )
    kind, colon, hexadecimal = secret.partition(":")
    if colon and kind.lower() == "sha256":
        if not _SHA256.fullmatch(hexadecimal := hexadecimal.strip().lower()):
            return "must have 64 hexadecimal digits after sha256:"
        digest, weak = bytes.fromhex(hexadecimal), False
    elif colon and ";" in secret:
        return "holds a semicolon; commas separate entries"
    elif colon:
        return "has two colons: it must be key, name:key, sha256:digest or name:sha256:digest"
    elif not secret or is_placeholder(secret):
        return "has a name but no key after the colon"
    elif not is_secret(secret):
        return "must be visible ASCII characters without spaces, so that it fits into a header"
    else:
        digest, weak = sha256(secret.encode()).digest(), len(secret) < MIN_KEY_LENGTH
    return ClientKey(name or digest.hex()[:8], digest, weak, digest == _EXAMPLE_DIGEST)
