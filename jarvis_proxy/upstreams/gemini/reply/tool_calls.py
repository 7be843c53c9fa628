"""Converts a model's function calls to calls of an answer; has the context of all readers. Pure.

Source: https://ai.google.dev/gemini-api/docs/function-calling (read 2026-11).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import bad_frame
from jarvis_proxy.canonical.function_names import FunctionNames, Member
from jarvis_proxy.upstreams.gemini.reply.error_body import DECODE_ERRORS
from jarvis_proxy.upstreams.gemini.reply.frames import FunctionCall
from jarvis_proxy.upstreams.gemini.request.build import TranslatedRequest
from jarvis_proxy.upstreams.gemini.signature_store import SignatureStore, StoredSignature

_NAMESPACES: Final = ("default_api.", "default_api:")
_NO_ARGUMENTS: Final = "{}"


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """The call, its translation, and functions of the shell.

    *new_id* returns 24 random letters and digits.
    """

    call: Call
    plan: TranslatedRequest
    signatures: SignatureStore
    new_id: Callable[[], str]

    def remember(self, item_id: str, signature: str | None, native_id: str | None = None) -> None:
        """Store what the upstream requires back with the call or message *item_id*."""
        if signature is not None or native_id:
            self.signatures.put(
                item_id, StoredSignature(signature, native_id or None), self.call.now
            )


class _CustomInput(msgspec.Struct):
    input: str


def read_call(
    context: ReplyContext, call: FunctionCall, signature: str | None
) -> tuple[CallStart, str]:
    """Return a call with a new id, and its arguments or input; ``""`` for none.

    The call's signature is stored under this id. The model's own id is not usable: it may be
    absent, and is not unique in a conversation.

    Raises:
        ProxyError: 502 `upstream_bad_frame`, the arguments are not JSON.
    """
    plan = context.plan
    arguments = _arguments(call.args)
    client = _client_name(plan.names, call.name or "")
    name, namespace = (
        (client.name, client.namespace) if isinstance(client, Member) else (client, None)
    )
    is_custom = client in plan.custom_tools
    call_id = f"call_{context.new_id()}"
    if not plan.legacy_functions:
        context.remember(call_id, signature, call.id)
    start = CallStart(call_id, name, "custom" if is_custom else "function", namespace)
    if is_custom:
        return start, _custom_input(arguments)
    return start, "" if arguments == _NO_ARGUMENTS else arguments


def _client_name(names: FunctionNames, name: str) -> str | Member:
    if names.declared_as(name) is None:
        # Models sometimes omit the inner namespace.
        for namespace in _NAMESPACES:
            bare = name.removeprefix(namespace)
            if bare != name and (found := names.declared_as(bare)) is not None:
                return found
    return names.client(name)


def _arguments(raw: Raw) -> str:
    if not raw:
        return _NO_ARGUMENTS
    try:
        return msgspec.json.encode(msgspec.json.decode(raw) or {}).decode()
    except DECODE_ERRORS:
        pass
    try:
        # Numbers beyond any machine's range are still valid JSON, so they stay as written.
        return msgspec.json.format(bytes(raw), indent=-1).decode()
    except DECODE_ERRORS:
        raise bad_frame() from None


def _custom_input(arguments: str) -> str:
    """Return the text for a custom tool, which Gemini sees as a function with one string."""
    try:
        return msgspec.json.decode(arguments, type=_CustomInput).input
    except DECODE_ERRORS:
        return arguments
