"""Finds thought signatures that clients send back, and decides which one counts. Pure.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures (read 2026-11).
"""

import base64
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from jarvis_proxy.canonical.chat_request import ChatMessage, ToolCall
from jarvis_proxy.canonical.history import ID_MARK, alnum_id, strip_signature_suffix
from jarvis_proxy.canonical.json_values import InvalidJSON, parse
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.signature_store import SignatureStore, StoredSignature

PLACEHOLDER: Final = "skip_thought_signature_validator"
"""Google's last resort for a call without a real signature; it costs continuity of reasoning."""

MESSAGE_ID: Final = "msg_"
"""The prefix of message ids in a response, under which a text's signature is remembered."""

_DUMMIES: Final = (PLACEHOLDER, "context_engineering_is_the_way_to_go")
_PLACEHOLDERS: Final = frozenset(
    (*_DUMMIES, *(base64.b64encode(dummy.encode()).decode() for dummy in _DUMMIES))
)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}\Z")
_WRAPPING_KEYS: Final = ("thought_signature", "thoughtSignature", "signature", "data")


class CarriedSignature(NamedTuple):
    carrier: str
    signature: str


class SignatureResolver:
    """Finds the signature of every part that the model made; each one is used once.

    *sentinel_only* is the recovery from a refused signature: no real one is sent any more.
    """

    __slots__ = ("_now", "_sentinel_only", "_signatures", "_traits", "_used", "sources")

    def __init__(
        self,
        traits: ModelTraits,
        signatures: SignatureStore,
        now: float,
        *,
        sentinel_only: bool = False,
    ) -> None:
        self._traits = traits
        self._signatures = signatures
        self._now = now
        self._sentinel_only = sentinel_only
        self._used: set[str] = set()
        self.sources: Counter[str] = Counter()
        """Counts of signatures by origin: the carrier's name, "store" or "placeholder"."""

    def remembered(self, call_id: str | None) -> StoredSignature | None:
        """Return what the store knows about the call with the client's id."""
        bare = strip_signature_suffix(call_id or "")
        return self._signatures.get(bare, self._now) if bare else None

    def for_call(
        self,
        call: ToolCall | None,
        message: ChatMessage,
        known: StoredSignature | None,
        *,
        first: bool,
    ) -> str | None:
        """Return the signature to send with a call; *first* is False for its parallel siblings.

        *call* is None for a legacy ``function_call``, whose message then is the carrier. The store
        overrules the client, which may have copied, wrapped or replaced the signature. Only the
        first call of a step gets a placeholder: on siblings it makes answers empty.
        """
        if self._traits.signatures == "none":
            return None
        if not self._sentinel_only:
            carried = _carried(call, message) if call else _carried_by_message(message)
            found = _overruled(next(carried, None), known)
            if (signature := self._take(found)) is not None:
                return signature
        if not first or self._traits.signatures != "required":
            return None
        self.sources["placeholder"] += 1
        return PLACEHOLDER

    def for_text(self, message: ChatMessage) -> str | None:
        """Return the signature to send with the last text of an assistant message."""
        if self._traits.signatures == "none" or self._sentinel_only:
            return None
        found = next(_carried_by_message(message), None)
        if found is None and (known := self._stored_for_text(message.id)) is not None:
            found = CarriedSignature("store", known)
        return self._take(found)

    def _stored_for_text(self, message_id: object) -> str | None:
        """Return the stored signature of a text that was sent as the message of a response."""
        if not isinstance(message_id, str) or not message_id.startswith(MESSAGE_ID):
            return None
        known = self._signatures.get(message_id, self._now)
        return None if known is None else known.signature

    def _take(self, found: CarriedSignature | None) -> str | None:
        if found is None or found.signature in self._used:
            # A signature sent twice counts twice, and is rejected on another part.
            return None
        self._used.add(found.signature)
        self.sources[found.carrier] += 1
        return found.signature


def _overruled(
    found: CarriedSignature | None, known: StoredSignature | None
) -> CarriedSignature | None:
    """Return the client's signature, unless the store knows better."""
    if known is None:
        return found
    if known.signature is None:
        # The model did not sign this call.
        return None
    if found is not None and found.signature == known.signature:
        return found
    return CarriedSignature("store", known.signature)


def _carried(call: ToolCall, message: ChatMessage) -> Iterator[CarriedSignature]:
    """Yield the signatures in a tool call, the most reliable carrier first."""
    yield from _from_extra_content(call.extra_content)
    yield from _from_reasoning_details(message.reasoning_details, call.id or "")
    yield from _from_provider_fields(call.provider_specific_fields)
    mark = (call.id or "").partition(ID_MARK)[2]
    # Padded base64 has a length divisible by four; most truncated ids do not.
    if len(mark) % 4 == 0 and (signature := _genuine(mark)):
        yield CarriedSignature("id", signature)


def _carried_by_message(message: ChatMessage) -> Iterator[CarriedSignature]:
    yield from _from_extra_content(message.extra_content)
    yield from _from_provider_fields(message.provider_specific_fields)


def _from_extra_content(value: object) -> Iterator[CarriedSignature]:
    for vendor in ("google", "vertex"):
        if signature := _genuine(_get(_get(value, vendor), "thought_signature")):
            yield CarriedSignature("extra_content", signature)


def _from_reasoning_details(value: object, call_id: str) -> Iterator[CarriedSignature]:
    wanted = alnum_id(call_id)
    for entry in value if isinstance(value, list) else ():
        name, signature = _get(entry, "id"), _genuine(_get(entry, "data"))
        if signature and wanted and isinstance(name, str) and alnum_id(name) == wanted:
            yield CarriedSignature("reasoning_details", signature)


def _from_provider_fields(value: object) -> Iterator[CarriedSignature]:
    several = _get(value, "thought_signatures")
    for item in (_get(value, "thought_signature"), *(several if isinstance(several, list) else ())):
        if signature := _genuine(item):
            yield CarriedSignature("provider_fields", signature)


def _genuine(value: object) -> str | None:
    """Return *value* if it can be a real signature: base64, and no placeholder.

    One client sends the JSON text of the object with the signature; that is unwrapped. Nothing else
    is checked: the bytes are Google's own.
    """
    if not isinstance(value, str):
        return None
    if value[:1] in ("{", "[", '"'):
        try:
            value = _unwrap(parse(value))
        except InvalidJSON:
            return None
    if value is None or value in _PLACEHOLDERS or not _BASE64.match(value):
        return None
    return None if len(value.rstrip("=")) % 4 == 1 else value


def _unwrap(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return next(filter(None, map(_unwrap, value)), None)
    inner = (_get(value, key) for key in (*_WRAPPING_KEYS, "google", "vertex"))
    return next((found for item in inner if item is not None and (found := _unwrap(item))), None)


def _get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None
