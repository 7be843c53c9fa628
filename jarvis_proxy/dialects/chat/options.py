"""The form of an answer that a chat request asks for, and the fields its chunks share. Pure."""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from jarvis_proxy.canonical.answer import AnswerContext, Finish
from jarvis_proxy.wire.chat_types import ExtraContent, FinishReason

_PREFIX: Final = "chatcmpl-"


class ChatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The form of answer that a client wants.

    *include_usage* is from ``stream_options``. *legacy_functions*: the client declared
    ``functions`` and gets ``function_call``. *think_tag* puts thoughts in the content, between tags
    of this name. *audio_format* is ``wav`` or ``pcm16``. *service_tier*: the request named a tier,
    so the answer names the one that served it.
    """

    include_usage: bool = False
    legacy_functions: bool = False
    think_tag: str | None = None
    audio_format: str | None = None
    service_tier: bool = False


class ChatHead:
    """The fields that all choices of one answer share: its id, and the tier that served it."""

    __slots__ = ("_id", "_tier", "context", "options")

    def __init__(self, context: AnswerContext, options: ChatOptions) -> None:
        self.context = context
        self.options = options
        self._id: str | None = None
        self._tier: str | None = None

    def name(self, upstream_id: str | None) -> None:
        """Set the upstream's id of the answer; the first one of any choice counts."""
        if self._id is None and upstream_id:
            self._id = upstream_id

    def serve(self, tier: str | None) -> None:
        """Set the tier that served the call."""
        self._tier = tier

    @property
    def id(self) -> str:
        """The answer's id, fixed from now on for every choice and chunk."""
        if self._id is None:
            self._id = self.context.call_id
        return self._id if self._id.startswith(_PREFIX) else _PREFIX + self._id

    @property
    def tier(self) -> str | UnsetType:
        """The tier that served the call, if the client asked for one."""
        return self._tier if self.options.service_tier and self._tier is not None else UNSET


def signed(signature: str | None) -> ExtraContent | UnsetType:
    """Return the field for a signature of Gemini's, where Google's own API has it."""
    return UNSET if signature is None else {"google": {"thought_signature": signature}}


def finish_reason(finish: Finish, options: ChatOptions) -> FinishReason:
    """Return the finish reason; clients of ``functions`` have a value of their own."""
    is_legacy = options.legacy_functions and finish.reason == "tool_calls"
    return "function_call" if is_legacy else finish.reason
