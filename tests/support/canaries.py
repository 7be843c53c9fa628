"""Marks that are looked for in everything that the proxy writes, in every form. No IO."""

import base64
import re
import secrets
from typing import Final
from urllib.parse import quote

_SEAL: Final = re.compile(
    rb'"(?:signature|encrypted_content|thought_?[sS]ignature|data)": ?"([^"\\]{12,})"'
)
"""Where the client APIs carry state of an upstream, which only that one can read."""


class Canaries:
    """Random texts, and everything that a program could have made of them."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}

    def new(self, name: str) -> str:
        """Return a fresh mark of plain letters, for where others are not allowed."""
        token = self.tokens[name] = f"canary{secrets.token_hex(10)}"
        return token

    def text(self, name: str) -> str:
        """Return a mark with characters that encodings change."""
        return f'ü "{self.new(name)}"\u2028\\&<ä>'

    def note_seals(self, answer: bytes) -> None:
        """Take the opaque state that an answer gives to its client as marks."""
        for seal in _SEAL.findall(answer):
            self.tokens[f"seal {seal[:12].decode()} {len(self.tokens)}"] = seal.decode()

    def found_in(self, data: bytes) -> list[str]:
        """Return the names of the marks in *data*, in any encoding."""
        lower = data.lower()
        return [
            name
            for name, token in self.tokens.items()
            if any(form in data for form in forms(token)) or token.encode() in lower
        ]


def forms(token: str) -> list[bytes]:
    """Return *token* as it stands, in hexadecimal, base64, URL and JSON escapes."""
    raw = token.encode()
    escaped = "".join(f"\\u{ord(c):04x}" for c in token).encode()
    percent = "".join(f"%{ord(c):02x}" for c in token).encode()
    aligned = [base64.b64encode(b"_" * pad + raw)[4:-4] for pad in range(3)]
    return [
        raw,
        raw[::-1],
        raw.hex().encode(),
        raw.hex().upper().encode(),
        *aligned,
        *(part.translate(bytes.maketrans(b"+/", b"-_")) for part in aligned),
        quote(token).encode(),
        percent,
        percent.upper(),
        escaped,
        token.encode("utf-16-le"),
    ]


def pieces(key: str) -> list[str]:
    """Return *key* as an upstream may repeat it: escaped, encoded, cut in two."""
    escaped = "".join(f"\\u{ord(c):04x}" for c in key)
    percent = "".join(f"%{ord(c):02x}" for c in key)
    return [key, escaped, percent, key[: len(key) // 2], f"..{key[-9:]}", key.upper()]


def runs_of(key: str, data: bytes) -> list[str]:
    """Return what *data* shows of *key*: eight characters of it or more."""
    text = data.decode("utf-8", "replace").lower()
    # The first runs are mostly "canary", with which all canaries begin.
    return [key[i : i + 8] for i in range(3, len(key) - 7) if key[i : i + 8] in text]
