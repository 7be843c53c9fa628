"""Sealed state as Google's clients carry it: a part's ``thoughtSignature``, which is base64. Pure.

Google's SDKs decode a signature and encode it again, in either alphabet. So a seal goes out as
base64, behind a mark that tells it from a signature of Google's own.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures (read 2026-11).
"""

from base64 import b64decode, b64encode
from typing import Final

from jarvis_proxy.canonical.sealed_state import SealedState, seal, unseal

_MARK: Final = "jarvis:"
ENCODED_MARK: Final = "amFydmlzO"
"""How every signature of ours begins: the mark in base64, as far as it is always the same."""


def to_signature(state: SealedState) -> str:
    """Return *state* as a ``thoughtSignature``."""
    return b64encode((_MARK + seal(state)).encode()).decode()


def from_signature(signature: str) -> SealedState | None:
    """Return the state within *signature*; None if it is Google's own, or damaged."""
    if not is_ours(signature):
        return None
    try:
        text = b64decode(signature.replace("-", "+").replace("_", "/") + "==").decode()
    except ValueError:
        return None
    return unseal(text.removeprefix(_MARK))


def is_ours(signature: str) -> bool:
    """Return whether the proxy made *signature*."""
    return signature.startswith(ENCODED_MARK)
