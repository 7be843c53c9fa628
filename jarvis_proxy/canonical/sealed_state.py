"""Opaque state of an upstream that travels with the client, marked with its owner. Pure.

An upstream needs its reasoning back: Gemini and Anthropic as signatures, chat services as text. The
proxy stores none of it. A conversation may move between upstreams, so each piece names its owner,
and only that owner gets it back.

In the canonical request, seals are in an assistant message's ``thinking_blocks``: Anthropic's
blocks unchanged, a chat service's with the seal as ``signature``. Gemini's signature is in Google's
own field: ``extra_content.google.thought_signature`` of the call.

Google's clients carry a seal as a part's ``thoughtSignature``. Their SDKs decode a signature and
encode it again, in either alphabet. So the seal is sent as base64, with a prefix that distinguishes
it from Google's own signatures.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures (read 2026-11).
"""

import binascii
import zlib
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

import msgspec

GEMINI: Final = "gemini"
ANTHROPIC: Final = "anthropic"
_CHAT: Final = "chat."
_MAX_BYTES: Final = 4 * 1024 * 1024

_GOOGLE_PREFIX: Final = "jarvis:"
GOOGLE_MARK: Final = "amFydmlzO"
"""The prefix, in base64, of each signature that the proxy makes for Google's clients."""


class SealedState(msgspec.Struct, frozen=True):
    """State of *owner*: ``gemini``, ``anthropic`` or ``chat.NAME`` (the upstream's name).

    *payload* is Gemini's signature, a chat service's reasoning text, or a JSON list of Anthropic's
    ``thinking`` and ``redacted_thinking`` blocks.
    """

    owner: str
    payload: str

    @property
    def signs_next(self) -> bool:
        """Whether the state signs the next tool call, or the message if none follows."""
        return self.owner == GEMINI


def chat_owner(upstream: str) -> str:
    """Return the owner for the chat service behind *upstream*."""
    return _CHAT + upstream.lower()


def seal(state: SealedState) -> str:
    """Return *state* as the text ``<owner>:<payload>``, which is opaque to the client."""
    if state.owner == GEMINI:
        return f"{GEMINI}:{state.payload}"
    packed = zlib.compress(state.payload.encode("utf-8", "replace"))
    return f"{state.owner}:{urlsafe_b64encode(packed).decode()}"


def unseal(text: str) -> SealedState | None:
    """Return the state in *text*; None if it is no seal, damaged or oversized."""
    owner, colon, payload = text.partition(":")
    if not colon or not payload or not is_owner(owner):
        return None
    if owner == GEMINI:
        return SealedState(owner, payload)
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(urlsafe_b64decode(payload), _MAX_BYTES)
        if not unpacker.eof:
            return None
        return SealedState(owner, data.decode())
    except (binascii.Error, zlib.error, ValueError):
        return None


def is_owner(owner: str) -> bool:
    """Return whether *owner* is a possible owner of a seal."""
    return owner in (GEMINI, ANTHROPIC) or (owner.startswith(_CHAT) and len(owner) > len(_CHAT))


def has_owner(signature: str) -> bool:
    """Return whether *signature* is a seal of the proxy, not an upstream's bare signature."""
    owner, colon, _ = signature.partition(":")
    return bool(colon) and is_owner(owner)


def anthropic_blocks(state: SealedState) -> list[dict[str, Any]]:
    """Return Anthropic's blocks in *state*; [] if it is not Anthropic's, or is damaged."""
    if state.owner != ANTHROPIC:
        return []
    try:
        return msgspec.json.decode(state.payload, type=list[dict[str, Any]])
    except (msgspec.DecodeError, RecursionError):
        return []


def thinking_blocks(state: SealedState) -> list[dict[str, Any]]:
    """Return *state* as ``thinking_blocks`` of the canonical request; [] for Gemini's."""
    if state.owner == ANTHROPIC:
        return anthropic_blocks(state)
    if state.signs_next:
        return []
    return [{"type": "thinking", "thinking": state.payload, "signature": seal(state)}]


def to_google_signature(state: SealedState) -> str:
    """Return *state* as a ``thoughtSignature``, in base64."""
    return b64encode((_GOOGLE_PREFIX + seal(state)).encode()).decode()


def from_google_signature(signature: str) -> SealedState | None:
    """Return the state in *signature*; None if it is Google's own, or damaged."""
    if not is_our_google_signature(signature):
        return None
    try:
        text = b64decode(signature.replace("-", "+").replace("_", "/") + "==").decode()
    except ValueError:
        return None
    return unseal(text.removeprefix(_GOOGLE_PREFIX))


def is_our_google_signature(signature: str) -> bool:
    """Return whether the proxy made *signature*."""
    return signature.startswith(GOOGLE_MARK)
