"""/v1/embeddings on Gemini: sends texts to batchEmbedContents, and returns OpenAI's form. Pure.

Sources: https://ai.google.dev/api/embeddings and
https://platform.openai.com/docs/api-reference/embeddings (read 2026-11).
"""

import base64
import math
import struct
from collections.abc import Mapping
from itertools import chain
from typing import Final, Literal, NoReturn

import msgspec
from msgspec import UNSET, Raw, UnsetType

from jarvis_proxy.canonical import validation_errors as faults
from jarvis_proxy.canonical.bounds import check_values
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import (
    Exchange,
    StreamTranslator,
    UpstreamRequest,
    bad_response,
    empty_reply,
    truncated,
)
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply import errors
from jarvis_proxy.upstreams.gemini.reply import frames as reply_types
from jarvis_proxy.upstreams.gemini.reply.error_body import DECODE_ERRORS
from jarvis_proxy.upstreams.gemini.reply.usage import translate_usage
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.response_events import SequenceNumbers

CHUNK: Final = 100
"""Inputs per batchEmbedContents. Google's limit is unverified; no similar client sends more."""

MAX_INPUTS: Final = 2048
"""OpenAI's limit: without one, a small body could cause any number of upstream requests."""

_UNIT_TOLERANCE: Final = 1e-4
"""How much the rounding of a whole vector's numbers may change its length from 1."""


class _Request(msgspec.Struct):
    """The client's body; *task_type* and *title* are Google's fields, not OpenAI's."""

    input: object = None
    dimensions: int | None = None
    encoding_format: str | None = None
    task_type: str | None = None
    title: str | None = None


class _Text(msgspec.Struct):
    text: str


class _Content(msgspec.Struct):
    parts: tuple[_Text]


class _EmbedRequest(msgspec.Struct, rename="camel"):
    model: str
    content: _Content
    task_type: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    output_dimensionality: int | UnsetType = UNSET


class _Batch(msgspec.Struct):
    requests: list[_EmbedRequest]


class _Vector(msgspec.Struct):
    values: list[float]


class _Reply(msgspec.Struct, rename="camel"):
    embeddings: list[_Vector] | None = None
    usage_metadata: Raw = Raw()
    error: Raw = Raw()


class _Embedding(msgspec.Struct, kw_only=True):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: Raw


class _Usage(msgspec.Struct):
    prompt_tokens: int
    total_tokens: int


class _Answer(msgspec.Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[_Embedding]
    model: str
    usage: _Usage


_REQUEST: Final = msgspec.json.Decoder(_Request)
_REPLY: Final = msgspec.json.Decoder(_Reply)


class EmbeddingsExchange:
    """One embeddings call: a request per 100 inputs, and all vectors in order.

    Usage comes from ``usageMetadata``. gemini-embedding-001 sends none, so there an input counts a
    quarter of its UTF-8 bytes, rounded up. That is about right for English and rather high for most
    other languages.
    """

    __slots__ = ("_base64", "_call", "_normalise", "_texts", "_tokens", "_vectors", "requests")

    raw: bool = False

    def __init__(self, call: Call) -> None:
        """Prepare the requests of *call*.

        Raises:
            ProxyError: 400, the body is no embeddings request of OpenAI's form, its input is
                tokens, or it asks for a stream.
        """
        if call.stream:
            raise _no_stream()
        request = _decode(call.body)
        texts = _texts(request.input)
        self._call = call
        self._base64 = _wants_base64(request.encoding_format)
        if request.dimensions is not None and request.dimensions < 1:
            raise faults.out_of_range("dimensions", request.dimensions, low=1)
        # Google truncates a vector of gemini-embedding-001 without scaling the rest; for
        # gemini-embedding-2 that is unverified. OpenAI's vectors have length 1, so these do too.
        self._normalise = request.dimensions is not None
        self._texts = [texts[at : at + CHUNK] for at in range(0, len(texts), CHUNK)]
        self._vectors: list[list[Raw] | None] = [None] * len(self._texts)
        self._tokens = [0] * len(self._texts)
        self.requests: tuple[UpstreamRequest, ...] = tuple(
            _upstream_request(call.target_model, request, chunk) for chunk in self._texts
        )

    @property
    def weight(self) -> int:
        """Return the total size of all request bodies."""
        return sum(len(request.body) for request in self.requests)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return nothing: no param of an embeddings request is ignored."""
        return ()

    @property
    def usage(self) -> TokenUsage | None:
        """Return the prompt's token counts once every reply has been read."""
        return None if None in self._vectors else TokenUsage(prompt=sum(self._tokens))

    @property
    def partial_usage(self) -> TokenUsage | None:
        """Return the prompt's token counts of the replies read so far."""
        tokens = sum(self._tokens)
        return TokenUsage(prompt=tokens) if tokens else None

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the downstream error for an upstream status ≥ 400."""
        return errors.translate_error(status, body, model=self._call.model, headers=headers)

    def recover(self, status: int, body: bytes) -> Exchange | None:
        """Return None: an embeddings request has nothing to leave out."""
        return None

    def translate_reply(self, body: bytes, index: int = 0) -> None:
        """Read a whole 200 body with the vectors of one request.

        Raises:
            ProxyError: 502 `upstream_bad_response` or `empty_response`, or the error in the body.
        """
        reply = self._decode_reply(body)
        vectors = reply.embeddings or []
        if not vectors:
            raise empty_reply()
        if len(vectors) != len(self._texts[index]):
            raise bad_response()
        self._tokens[index] = translate_usage(reply.usage_metadata).prompt_tokens or sum(
            map(_estimate, self._texts[index])
        )
        # Encode each reply as it arrives: a call may have millions of numbers, and encoding them
        # all at the end would block every other call.
        self._vectors[index] = [self._encode(vector.values) for vector in vectors]

    def answer(self) -> bytes:
        """Return OpenAI's list of embeddings.

        Raises:
            ProxyError: 502 `upstream_truncated`, a request has no reply.
        """
        replies = [reply for reply in self._vectors if reply is not None]
        if len(replies) < len(self._vectors):
            raise truncated()
        vectors = enumerate(chain.from_iterable(replies))
        tokens = sum(self._tokens)
        answer = _Answer(
            data=[_Embedding(index=index, embedding=vector) for index, vector in vectors],
            model=self._call.model,
            usage=_Usage(prompt_tokens=tokens, total_tokens=tokens),
        )
        return msgspec.json.encode(answer)

    def stream_translator(
        self, index: int = 0, numbers: SequenceNumbers | None = None
    ) -> StreamTranslator:
        """Reject the call, because vectors are not streamed.

        Raises:
            ProxyError: 400 `unsupported_value`.
        """
        raise _no_stream()

    def _decode_reply(self, body: bytes) -> _Reply:
        reply_types.check_values(body)
        try:
            reply = _REPLY.decode(body)
        except DECODE_ERRORS as exc:
            error = errors.error_in_text(body, model=self._call.model)
            raise (error or bad_response()) from exc
        if reply.error and bytes(reply.error) != b"null":
            raise errors.error_in_answer(reply.error, model=self._call.model)
        return reply

    def _encode(self, values: list[float]) -> Raw:
        """Return one vector as JSON: an array of numbers, or base64 of little-endian float32."""
        if self._normalise:
            length = math.hypot(*values)
            if length > 0 and abs(length - 1) > _UNIT_TOLERANCE:
                values = [value / length for value in values]
        if not self._base64:
            return Raw(msgspec.json.encode(values))
        try:
            packed = struct.pack(f"<{len(values)}f", *values)
        except OverflowError as exc:
            raise bad_response() from exc
        return Raw(b'"' + base64.b64encode(packed) + b'"')


def _upstream_request(model: str, request: _Request, texts: list[str]) -> UpstreamRequest:
    embed_requests = [
        _EmbedRequest(
            model=f"models/{model}",
            content=_Content((_Text(text),)),
            task_type=UNSET if request.task_type is None else request.task_type,
            title=UNSET if request.title is None else request.title,
            output_dimensionality=UNSET if request.dimensions is None else request.dimensions,
        )
        for text in texts
    ]
    return UpstreamRequest(
        "POST",
        f"/models/{model}:batchEmbedContents",
        {"Content-Type": "application/json"},
        msgspec.json.encode(_Batch(embed_requests)),
    )


def _decode(body: bytes) -> _Request:
    check_values(body)
    try:
        return surrogates.decode(_REQUEST, body)
    except faults.DECODE_ERRORS as exc:
        raise faults.from_decode_error(exc) from exc


def _texts(value: object) -> list[str]:
    """Return the inputs, one or several, as texts."""
    if value is None:
        raise faults.missing("input")
    if isinstance(value, str):
        return [_text(value, "input")]
    if not isinstance(value, list):
        raise faults.wrong_type("input", "a string or an array of strings", value)
    if not value:
        message = (
            "Invalid 'input': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead."
        )
        raise faults.invalid("input", message, "empty_array")
    if any(_is_tokens(item) for item in value):
        _refuse_tokens()
    if len(value) > MAX_INPUTS:
        message = (
            f"Invalid 'input': array too long. Expected an array with maximum length {MAX_INPUTS}, "
            f"but got an array with length {len(value)} instead."
        )
        raise faults.invalid("input", message, "array_above_max_length")
    return [_text(item, f"input[{at}]") for at, item in enumerate(value)]


def _is_tokens(item: object) -> bool:
    return isinstance(item, list) or (isinstance(item, int) and not isinstance(item, bool))


def _refuse_tokens() -> NoReturn:
    message = (
        "Gemini models take text, not tokens: send 'input' as a string or an array of strings. "
        "(LangChain does so with check_embedding_ctx_length=False.)"
    )
    raise faults.invalid("input", message, "unsupported_value")


def _text(value: object, param: str) -> str:
    if not isinstance(value, str):
        raise faults.wrong_type(param, "a string", value)
    if not value:
        message = f"Invalid '{param}': empty string. Expected a string with minimum length 1."
        raise faults.invalid(param, message, "empty_string")
    return value


def _no_stream() -> ProxyError:
    message = "Embeddings are not streamed: leave 'stream' out."
    return faults.invalid("stream", message, "unsupported_value")


def _wants_base64(encoding_format: str | None) -> bool:
    if encoding_format not in (None, "float", "base64"):
        raise faults.unknown_value("encoding_format", encoding_format, ("float", "base64"))
    return encoding_format == "base64"


def _estimate(text: str) -> int:
    """Return an estimate of the tokens in *text*."""
    return -(-len(text.encode()) // 4)
