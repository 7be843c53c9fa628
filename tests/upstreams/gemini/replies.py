"""What the tests of the way back from Gemini share: plans, frames, and a plain reader of chunks."""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from jarvis_proxy.canonical.adapters import DialectCall
from jarvis_proxy.canonical.answer import AnswerContext
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import EmptyAnswerError, StreamTranslator, UpstreamRequest
from jarvis_proxy.canonical.function_names import FunctionNames
from jarvis_proxy.canonical.request import CanonicalRequest, SameParams
from jarvis_proxy.canonical.translation import Translation
from jarvis_proxy.dialects.chat.answer import ChatAnswer
from jarvis_proxy.dialects.chat.options import ChatOptions
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.recovery import RequestFallbacks
from jarvis_proxy.upstreams.gemini.reply.tool_calls import ReplyContext
from jarvis_proxy.upstreams.gemini.request.build import TranslatedRequest
from jarvis_proxy.upstreams.gemini.request.tools import GEMINI_NAMES
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore, SignatureStore
from jarvis_proxy.upstreams.gemini.upstream_call import GeminiCall
from tests.support.recorded_answer import RecordedAnswer, RecordedChoice

JSON = dict[str, Any]
NOW = 1000.0
CREATED = 1_800_000_000
DONE = b"data: [DONE]\n\n"


class Plan(NamedTuple):
    """What was sent upstream, and how the client wants its answer."""

    sent: TranslatedRequest
    options: ChatOptions


def a_plan(
    *,
    body: bytes = b'{"contents":[]}',
    choice_count: int = 1,
    ignored: tuple[str, ...] = (),
    include_usage: bool = False,
    declared: Iterable[str] = (),
    renamed: Mapping[str, str] | None = None,
    custom_tools: Iterable[str] = (),
    legacy_functions: bool = False,
    first_call_only: bool = False,
    think_tag: str | None = None,
    audio_format: str | None = None,
    service_tier_asked: bool = False,
) -> Plan:
    names = FunctionNames(declared, rule=GEMINI_NAMES)
    names.renamed |= renamed or {}
    sent = TranslatedRequest(
        body=body,
        choice_count=choice_count,
        ignored=ignored,
        names=names,
        custom_tools=frozenset(custom_tools),
        legacy_functions=legacy_functions,
        first_call_only=first_call_only or legacy_functions,
        signature_sources={},
    )
    options = ChatOptions(
        include_usage=include_usage,
        legacy_functions=legacy_functions,
        think_tag=think_tag,
        audio_format=audio_format,
        service_tier=service_tier_asked,
    )
    return Plan(sent, options)


def a_call(*, stream: bool = False, model: str = "my-model", target: str = "gemini-x") -> Call:
    return Call(
        endpoint="chat/completions",
        model=model,
        target_model=target,
        stream=stream,
        body=b"{}",
        id="req-1",
        created=CREATED,
        now=NOW,
    )


def ids() -> Callable[[], str]:
    """Return a source of ids: 24 characters that count up."""
    counter = itertools.count()
    return lambda: f"{next(counter):024d}"


def a_context(
    plan: Plan | TranslatedRequest | None = None, store: SignatureStore | None = None
) -> ReplyContext:
    plan = plan or a_plan()
    sent = plan if isinstance(plan, TranslatedRequest) else plan.sent
    return ReplyContext(a_call(), sent, store or MemorySignatureStore(), ids())


def translated(
    call: Call,
    build: Callable[[RequestFallbacks], TranslatedRequest],
    *,
    options: ChatOptions | None = None,
    store: SignatureStore | None = None,
) -> Translation:
    """Return the exchange of a chat client with what *build* makes."""
    new_id = ids()
    context = AnswerContext(call_id=call.id, created=call.created, model=call.model, new_id=new_id)
    client = DialectCall(
        CanonicalRequest(body=b"", params=SameParams()),
        partial(ChatAnswer, context, options or ChatOptions()),
    )
    upstream = GeminiCall(call, build, signatures=store or MemorySignatureStore(), new_id=new_id)
    return Translation(client, upstream)


def an_exchange(
    plan: Plan | None = None,
    *,
    stream: bool = False,
    store: SignatureStore | None = None,
    call: Call | None = None,
) -> Translation:
    chosen = plan or a_plan()

    def build(fallbacks: RequestFallbacks) -> TranslatedRequest:
        assert fallbacks == RequestFallbacks()
        return chosen.sent

    return translated(call or a_call(stream=stream), build, options=chosen.options, store=store)


# -- Gemini's side ---------------------------------------------------------------------------


def a_frame(
    *parts: JSON, finish: str | None = None, usage: JSON | None = None, **candidate: Any
) -> JSON:
    """Return a frame with one candidate; *candidate* are further fields of it."""
    body: JSON = {"content": {"role": "model", "parts": list(parts)}, **candidate}
    if finish is not None:
        body["finishReason"] = finish
    frame: JSON = {"candidates": [body]}
    if usage is not None:
        frame["usageMetadata"] = usage
    return frame


def a_usage(prompt: int, candidates: int, thoughts: int = 0, **more: Any) -> JSON:
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": prompt + candidates + thoughts,
        **more,
    }


def a_function_call(name: str, args: JSON | None = None, **more: Any) -> JSON:
    call: JSON = {"name": name, **more}
    if args is not None:
        call["args"] = args
    return {"functionCall": call}


def sse(*frames: JSON, eol: str = "\r\n") -> bytes:
    """Return *frames* as Google sends them with ``alt=sse``."""
    lines = (f"data: {json.dumps(frame, ensure_ascii=False)}{eol}{eol}" for frame in frames)
    return "".join(lines).encode()


# -- a plain reader of answers -----------------------------------------------------------


def stream_outcome(
    exchange: Translation, pieces: Iterable[bytes]
) -> tuple[bytes, ProxyError | None]:
    """Feed *pieces* as one answer; return all that reaches the client and the error that ends it.

    As the shell does, ask again where an answer says nothing.
    """
    _, out, error = streamed_by(exchange, pieces)
    return out, error


def streamed_by(
    exchange: Translation, pieces: Iterable[bytes]
) -> tuple[StreamTranslator, bytes, ProxyError | None]:
    """Return the translator as well, the second where the first answer said nothing."""
    pieces = list(pieces)
    translator = exchange.stream_translator()
    out, error = fed(translator, pieces)
    if isinstance(error, EmptyAnswerError):
        assert not out
        assert exchange.requests  # another attempt begins
        translator = exchange.stream_translator()
        out, error = fed(translator, pieces)
    return translator, out, error


def fed(translator: StreamTranslator, pieces: Iterable[bytes]) -> tuple[bytes, ProxyError | None]:
    """Return what *translator* makes of *pieces*, and the error that ends it."""
    out = b""
    try:
        for piece in pieces:
            out += translator.feed(piece)
        out += translator.feed_eof()
    except ProxyError as error:
        return out + error.completed_events, error
    return out, None


def refused(
    exchange: Translation, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> ProxyError:
    """Return the client's error for a refusal of the upstream's."""
    error = exchange.translate_error(status, headers or {}, body)
    assert error is not None
    return error


def stream(data: bytes, plan: Plan | None = None, **more: Any) -> bytes:
    """Return the whole translation of a stream that must not fail."""
    out, error = stream_outcome(an_exchange(plan, stream=True, **more), [data])
    if error is not None:
        raise error
    return out


def stream_error(data: bytes, plan: Plan | None = None) -> ProxyError:
    _, error = stream_outcome(an_exchange(plan, stream=True), [data])
    assert error is not None
    return error


def whole(*frames: JSON, plan: Plan | None = None, **more: Any) -> JSON:
    """Return the ChatCompletion for *frames* (more than one: as a JSON array)."""
    exchange = an_exchange(plan, **more)
    body = frames[0] if len(frames) == 1 else list(frames)
    assert replied(exchange, json.dumps(body).encode()) is None
    answer = json.loads(exchange.answer())
    assert isinstance(answer, dict)
    return answer


def replied(exchange: Translation, body: bytes) -> UpstreamRequest | None:
    """Give *exchange* a whole reply, twice if the first says nothing."""
    assert exchange.requests
    try:
        return exchange.translate_reply(body)
    except EmptyAnswerError:
        assert exchange.requests
        return exchange.translate_reply(body)


def chunks_of(data: bytes) -> list[JSON]:
    """Return the chunks of a complete stream, without its ``[DONE]``."""
    assert data.endswith(DONE)
    return events_of(data.removesuffix(DONE))


def events_of(data: bytes) -> list[JSON]:
    events = data.split(b"\n\n")
    assert events.pop() == b""
    assert all(event.startswith(b"data: {") for event in events)
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def deltas_of(data: bytes, index: int = 0) -> list[JSON]:
    """Return one choice's deltas, in order."""
    return [
        choice["delta"]
        for chunk in chunks_of(data)
        for choice in chunk["choices"]
        if choice["index"] == index
    ]


def finishes_of(data: bytes) -> list[JSON]:
    """Return every choice that carries a finish reason."""
    choices = (choice for chunk in chunks_of(data) for choice in chunk["choices"])
    return [choice for choice in choices if choice["finish_reason"] is not None]


def accumulate(chunks: Iterable[JSON]) -> dict[int, JSON]:
    """Put chunks together as a client does; return index → choice with a whole message."""
    choices: dict[int, JSON] = {}
    for chunk in chunks:
        for piece in chunk["choices"]:
            index = piece["index"]
            choice = choices.setdefault(index, {"index": index, "message": {}})
            _add_delta(choice["message"], piece["delta"])
            if piece["logprobs"] is not None:
                tokens = choice.setdefault("logprobs", {"content": [], "refusal": None})
                tokens["content"] += piece["logprobs"]["content"]
            extras = {k: v for k, v in piece.items() if k not in ("index", "delta", "logprobs")}
            choice.update({k: v for k, v in extras.items() if v is not None})
    return choices


def _add_delta(message: JSON, delta: JSON) -> None:
    for key, value in delta.items():
        match key:
            case "content" | "reasoning_content":
                message[key] = message.get(key, "") + value
            case "tool_calls":
                calls = message.setdefault(key, [])
                for call in value:
                    assert call["index"] == len(calls)
                    calls.append({k: v for k, v in call.items() if k != "index"})
            case "images" | "annotations":
                message.setdefault(key, []).extend(value)
            case "audio":
                audio = message.setdefault(key, {})
                for name, part in value.items():
                    audio[name] = audio.get(name, "") + part if name == "data" else part
            case _:
                message[key] = value


class Choice(RecordedChoice):
    """A choice; *sent* is the part of it that the client has."""

    sent = False

    @property
    def emitted(self) -> bool:
        return self.sent


class Choices(RecordedAnswer):
    """An answer that keeps the events of its choices."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, Choice] = {}

    def choice(self, index: int, /) -> Choice:
        made = self.made.setdefault(index, Choice())
        self.choices[index] = made
        return made
