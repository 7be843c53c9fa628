"""Serves Google's embedding methods by upstreams with OpenAI's ``/embeddings``. Pure.

Source: https://ai.google.dev/api/embeddings (read 2026-11).
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.bounds import check_length
from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import (
    NOTHING_NEEDED,
    Exchange,
    Media,
    Prerequisites,
    StreamTranslator,
    Upstream,
    UpstreamRequest,
)
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.canonical.validation_errors import convert, invalid
from jarvis_proxy.dialects.generate_content.contents import parts_of
from jarvis_proxy.dialects.generate_content.types import Content, JsonObject, decode_object
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.google_verbs import BATCH_EMBED, EMBED
from jarvis_proxy.wire.response_events import SequenceNumbers

_EMBEDDINGS: Final = "embeddings"
_MAX_INPUTS: Final = 2048


class _Request(msgspec.Struct, rename="camel"):
    content: Content | str | None = None
    task_type: str | None = None
    title: str | None = None
    output_dimensionality: int | None = None


class _Vector(msgspec.Struct):
    embedding: Raw
    index: int = 0


class _Vectors(msgspec.Struct):
    data: list[_Vector]


_VECTORS: Final = msgspec.json.Decoder(_Vectors)


class EmbeddingsUpstream:
    """An *upstream* that also serves Google's embedding methods; implements ``Upstream``."""

    __slots__ = ("_upstream", "name")

    def __init__(self, upstream: Upstream) -> None:
        self.name = upstream.name
        self._upstream = upstream

    def needs(self, call: Call) -> Prerequisites:
        """Return what must be looked up before ``exchange``."""
        if call.endpoint in (EMBED, BATCH_EMBED):
            return NOTHING_NEEDED
        return self._upstream.needs(call)

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        """Return the exchange for *call*.

        Raises:
            ProxyError: 400, the call cannot be expressed.
        """
        if call.endpoint not in (EMBED, BATCH_EMBED):
            return self._upstream.exchange(call, media, decoded)
        ignored = IgnoredParams(strict=call.strict_params)
        body = _asked(call, ignored)
        asked = msgspec.structs.replace(call, endpoint=_EMBEDDINGS, body=body, query="")
        return _EmbeddingsExchange(self._upstream.exchange(asked, {}), call, body, ignored.names)


def _asked(call: Call, ignored: IgnoredParams) -> bytes:
    """Return the equivalent request for OpenAI's endpoint."""
    value = decode_object(call.body)
    if call.endpoint == EMBED:
        requests, paths = [convert(value, _Request, "")], [""]
    else:
        requests = convert(value.get("requests") or [], list[_Request], "requests")
        paths = [f"requests[{index}]." for index in range(len(requests))]
    check_length("requests", len(requests), _MAX_INPUTS)
    texts = [_text(one, path) for one, path in zip(requests, paths, strict=True)]
    if not texts:
        raise invalid("requests", "requests are required", "missing_required_parameter")
    for one, path in zip(requests, paths, strict=True):
        for name, given in (("taskType", one.task_type), ("title", one.title)):
            if given is not None:
                ignored.add_or_reject(path + name)
    body: JsonObject = {"model": call.model, "input": texts}
    dimensions = {one.output_dimensionality for one in requests}
    if len(dimensions) > 1:
        path = "requests[0].outputDimensionality"
        raise invalid(path, "All requests of a batch must ask for the same outputDimensionality.")
    if dimensions != {None}:
        body["dimensions"] = dimensions.pop()
    return msgspec.json.encode(body)


def _text(request: _Request, path: str) -> str:
    content = request.content
    parts = parts_of(content if isinstance(content, Content) else Content([content or ""]))
    if any(part.text is None for part in parts):
        raise invalid(f"{path}content", "Only texts can be embedded by this model.")
    return "\n".join(part.text or "" for part in parts)


class _EmbeddingsExchange:
    """A call of a Google method, served by *inner*, OpenAI's exchange; implements ``Exchange``."""

    __slots__ = ("_inner", "_is_batch", "_vectors", "headers", "weight")

    raw: bool = False

    def __init__(self, inner: Exchange, call: Call, body: bytes, ignored: tuple[str, ...]) -> None:
        self._inner = inner
        self._is_batch = call.endpoint == BATCH_EMBED
        self._vectors: list[_Vector] = []
        self.weight = len(body)
        self.headers: tuple[tuple[str, str], ...] = ()
        if ignored:
            self.headers = (("x-jarvis-ignored", ", ".join(ignored)),)

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """Return the one request."""
        return self._inner.requests

    @property
    def usage(self) -> TokenUsage | None:
        """Return the token counts, once the answer has arrived."""
        return self._inner.usage

    @property
    def partial_usage(self) -> TokenUsage | None:
        """Return the same as ``usage``."""
        return self._inner.partial_usage

    def translate_error(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ProxyError | None:
        """Return the error for an upstream status ≥ 400."""
        return self._inner.translate_error(status, headers, body)

    def recover(self, status: int, body: bytes) -> None:
        """Return None: there is nothing to change."""

    def translate_reply(self, body: bytes, index: int = 0) -> None:
        """Read the vectors.

        Raises:
            ProxyError: the body is an error, or 502 `upstream_bad_response`.
        """
        self._inner.translate_reply(body, index)
        try:
            vectors = _VECTORS.decode(body).data
        except (ValueError, RecursionError):
            vectors = []
        if not vectors:
            message = "The upstream's answer holds no embeddings."
            raise ProxyError(502, message, code="upstream_bad_response")
        self._vectors = sorted(vectors, key=lambda vector: vector.index)

    def answer(self) -> bytes:
        """Return the vectors in Google's form."""
        values = [{"values": vector.embedding} for vector in self._vectors]
        answer = {"embeddings": values} if self._is_batch else {"embedding": values[0]}
        return msgspec.json.encode(answer)

    def stream_translator(
        self, index: int = 0, numbers: SequenceNumbers | None = None
    ) -> StreamTranslator:
        """Return the inner translator: these calls never ask for a stream."""
        return self._inner.stream_translator(index, numbers)
