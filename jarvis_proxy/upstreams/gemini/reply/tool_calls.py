"""Function calls of a model as OpenAI's tool calls. Pure.

Source: https://ai.google.dev/gemini-api/docs/function-calling (read 2026-11).
"""

from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from jarvis_proxy.canonical.function_names import Member, member_called
from jarvis_proxy.upstreams.gemini.reply.context import ReplyContext
from jarvis_proxy.upstreams.gemini.reply.error_body import BROKEN
from jarvis_proxy.upstreams.gemini.reply.errors import bad_frame
from jarvis_proxy.upstreams.gemini.reply.frames import FunctionCall
from jarvis_proxy.upstreams.gemini.request.build import ChatPlan
from jarvis_proxy.upstreams.gemini.signature_store import Remembered
from jarvis_proxy.wire.chat_types import CustomPayload, ExtraContent, FunctionPayload, ToolCall

_NAMESPACES: Final = ("default_api.", "default_api:")


class _CustomInput(msgspec.Struct):
    input: str


def to_tool_call(
    context: ReplyContext, call: FunctionCall, signature: str | None, index: int
) -> ToolCall:
    """Return the tool call, under a new id under which its signature is remembered.

    The model's own id does not serve: it may be absent, and would not be unique in a conversation.

    Raises:
        ProxyError: 502 `upstream_bad_frame`, the arguments are not JSON.
    """
    plan = context.plan
    function = to_function(plan, call.name or "", call.args)
    call_id = f"call_{context.new_id()}"
    native_id = call.id or None
    if signature is not None or native_id is not None:
        context.vault.put(call_id, Remembered(signature, native_id), context.call.now)
    tool_call = ToolCall(index=index, id=call_id, extra_content=signed(signature))
    name, namespace = function.name, function.namespace
    if (name if namespace is UNSET else Member(namespace, name)) in plan.custom_tools:
        tool_call.type = "custom"
        tool_call.custom = CustomPayload(name, _custom_input(function.arguments), namespace)
    else:
        tool_call.function = function
    return tool_call


def to_function(plan: ChatPlan, name: str, args: Raw) -> FunctionPayload:
    """Return a call's name, as the client knows it, and its arguments as compact JSON.

    Raises:
        ProxyError: 502 `upstream_bad_frame`, the arguments are not JSON.
    """
    found = _client_name(plan, name)
    if isinstance(found, Member):
        return FunctionPayload(found.name, _arguments(args), found.namespace)
    return FunctionPayload(found, _arguments(args))


def signed(signature: str | None) -> ExtraContent | UnsetType:
    """Return the field that carries a thought signature, in Google's own place for it."""
    return UNSET if signature is None else {"google": {"thought_signature": signature}}


def _client_name(plan: ChatPlan, name: str) -> str | Member:
    if (found := _declared(plan, name)) is not None:
        return found
    for namespace in _NAMESPACES:  # models at times let their inner one out
        bare = name.removeprefix(namespace)
        if bare != name and (found := _declared(plan, bare)) is not None:
            return found
    return member_called(name, plan.namespaced.values()) or name


def _declared(plan: ChatPlan, name: str) -> str | Member | None:
    if name in plan.namespaced:
        return plan.namespaced[name]
    name = plan.renamed.get(name, name)
    return name if name in plan.declared else None


def _arguments(raw: Raw) -> str:
    if not raw:
        return "{}"  # a tool without parameters
    try:
        return msgspec.json.encode(msgspec.json.decode(raw) or {}).decode()
    except BROKEN:
        pass
    try:
        # Numbers outside of every machine's range are still JSON: they go on as they were written.
        return msgspec.json.format(bytes(raw), indent=-1).decode()
    except BROKEN:
        raise bad_frame() from None


def _custom_input(arguments: str) -> str:
    """Return the text for a custom tool, which Gemini knows as a function of one string."""
    try:
        return msgspec.json.decode(arguments, type=_CustomInput).input
    except BROKEN:
        return arguments
