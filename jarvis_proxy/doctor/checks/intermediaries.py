"""Recognises intermediaries between a client and the proxy by the headers that they add. Pure.

The proxy itself sends neither ``Server`` nor ``Via``, so such a header names an intermediary.
"""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Final

import msgspec

from jarvis_proxy.doctor.net.http_answer import HttpAnswer

_UNNAMED: Final = "an unnamed server"


class Intermediary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An intermediary; intermediaries.toml explains the fields."""

    name: str
    streaming: str
    signs: dict[str, str] = {}
    is_cdn: bool = False
    example: str = ""
    body_limit: str = ""

    def is_shown_by(self, headers: Mapping[str, str]) -> bool:
        """Return whether *headers* (names in lower case) reveal this intermediary."""
        left = self.signs.keys() & headers.keys()
        return any(re.search(self.signs[name], headers[name].lower()) for name in left)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    unnamed_advice: str
    unknown_advice: str
    cdn_advice: str
    cloudflare_errors: dict[str, str]
    intermediary: tuple[Intermediary, ...]


_TABLE: Final = msgspec.toml.decode(
    (resources.files(__package__) / "intermediaries.toml").read_bytes(), type=_Table
)


def find_intermediaries(answer: HttpAnswer) -> tuple[Intermediary, ...]:
    """Return the intermediaries that *answer* reveals: CDNs first, then reverse proxies."""
    known = tuple(each for each in _TABLE.intermediary if each.is_shown_by(answer.headers))
    server = answer.header("server") or answer.header("via")
    if not known and re.fullmatch(r"[ -~]{1,60}", server):
        return (Intermediary(server, _TABLE.unknown_advice),)
    return known


def describe_intermediaries(answer: HttpAnswer) -> dict[str, str]:
    """Return the texts for messages about intermediaries; *through* is "" if none is known."""
    found = find_intermediaries(answer)
    who = " and ".join(each.name for each in found) or _UNNAMED
    advice = {
        each.name: f"{each.streaming} {_TABLE.cdn_advice}" if each.is_cdn else each.streaming
        for each in found or (Intermediary(_UNNAMED, _TABLE.unnamed_advice),)
    }
    named = (f"{name}: {text}" if len(advice) > 1 else text for name, text in advice.items())
    return {
        "who": who,
        "through": f", through {who}" if found else "",
        "streaming_advice": " ".join(named),
        "streaming_example": "\n\n".join(each.example for each in found if each.example),
        "cloudflare_error": _TABLE.cloudflare_errors.get(str(answer.status), ""),
        "body_limits": "\n".join(each.body_limit for each in found if each.body_limit),
    }
