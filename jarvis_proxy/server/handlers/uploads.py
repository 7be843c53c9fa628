"""Uploads: forms that stream once their `model` is known, and other bodies. IO.

No part of a form is sent before its model is known. Until then, parts are held in memory, never on
disk, and count against the memory limit.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web
from msgspec.structs import replace

from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.dialects.transcription.options import asks_for_stream
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.models import OPENAI, ModelRoute
from jarvis_proxy.server.client_apis import api_name
from jarvis_proxy.server.context import ADMITTED_CALL, CONTEXT, MATCH, RECORD
from jarvis_proxy.server.handlers.new_call import new_call, raw_query
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.retry_loop import CallRunner
from jarvis_proxy.server.request_body import (
    check_declared_length,
    continue_if_expected,
    is_json_type,
    too_large,
)
from jarvis_proxy.wire.headers import is_field_value
from jarvis_proxy.wire.multipart_model import ModelFieldScanner, invalid_form
from jarvis_proxy.wire.pieces import ByteBuffer
from jarvis_proxy.wire.request_head import decode_head, with_model
from jarvis_proxy.wire.single_model import check_query


class StreamedUpload:
    """A request body that streams upstream; only the part before the model is buffered."""

    def __init__(self, request: web.Request, deadlines: CallDeadlines, limit: int) -> None:
        self._request = request
        self._deadlines = deadlines
        self._limit = limit
        self._record = request[RECORD]
        self._reservation = request[ADMITTED_CALL].open_reservation()
        self.buffered_prefix = ByteBuffer()
        """Bytes that were read but not sent yet."""
        self.error: ProxyError | None = None
        self._reader: asyncio.Task[object] | None = None
        self._duplicate_scanner: ModelFieldScanner | None = None

    async def read(self) -> bytes:
        """Return available bytes, ``b""`` at the end.

        Raises:
            ProxyError: 413, the body exceeds its limit.
        """
        deadlines = self._deadlines
        deadlines.waits_for_client = True
        self._reader = asyncio.current_task()
        data = await self._request.content.readany()
        self._reader = None
        deadlines.waits_for_client = False
        deadlines.saw_data = True
        self._record.bytes_in += len(data)
        deadlines.body_bytes = self._record.bytes_in
        if self._record.bytes_in > self._limit:
            raise too_large(self._limit)
        return data

    async def stop(self) -> None:
        """Stop reading, because the upstream answered without the rest.

        A pending read would block the reader that discards the rest of the body.
        """
        reader, self._reader = self._reader, None
        if reader is not None and reader is not asyncio.current_task():
            reader.cancel()
            await asyncio.wait([reader])

    async def find_model(self, scanner: ModelFieldScanner) -> None:
        """Read until the model is known or the form ends.

        Raises:
            ProxyError: 413, 408 or 503 `overloaded`, the body is too large, too slow, or memory is
                full; 400 `invalid_multipart`.
        """
        while scanner.model is None and (data := await self.read()):
            self._reservation.add(len(data))
            self.buffered_prefix.add(data)
            scanner.feed(data)

    def reject_duplicate_model(self, scanner: ModelFieldScanner, start: int) -> None:
        """Search the form from *start* for a second model, which an upstream might use instead.

        Raises:
            ProxyError: 400 `invalid_multipart`, now, or while the rest is read.
        """
        self._duplicate_scanner = scanner
        for data in self.buffered_prefix.after(start):
            self._check_duplicate(data)

    def _check_duplicate(self, data: bytes) -> None:
        if self._duplicate_scanner is None:
            return
        self._duplicate_scanner.feed(data)
        if self._duplicate_scanner.model is not None:
            raise invalid_form("it has two fields called 'model'")

    async def read_whole(self) -> bytes:
        """Return the whole body, which stays in memory.

        Raises:
            ProxyError: as ``find_model``.
        """
        while data := await self.read():
            self._reservation.add(len(data))
            self._check_duplicate(data)
            self.buffered_prefix.add(data)
        self._deadlines.request_received()
        return self.buffered_prefix.join()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the whole body: the buffered prefix, then the rest as it arrives."""
        try:
            while data := self.buffered_prefix.pop():
                yield data
                self._reservation.set_unchecked(self.buffered_prefix.size)
            while data := await self.read():
                self._check_duplicate(data)
                yield data
        except ProxyError as exc:
            # aiohttp reports a failed body as a connection error, so keep the cause.
            self.error = exc
            raise
        self._deadlines.request_received()


async def relay_form(request: web.Request, deadlines: CallDeadlines) -> web.StreamResponse:
    """Relay a multipart form to the upstream of its `model` field."""
    if _coding(request) != "identity":
        raise ProxyError(415, "Send forms uncompressed.", code="unsupported_encoding")
    admitted = request[ADMITTED_CALL]
    upload = _open_upload(request, deadlines)
    content_type = request.headers.get("Content-Type", "")
    scanner = ModelFieldScanner(content_type, strict=admitted.is_limited)
    if admitted.is_limited:
        check_query(raw_query(request))
    continue_if_expected(request)
    await upload.find_model(scanner)
    model, span = scanner.model, scanner.model_span
    # For some paths, OpenAI has a default model.
    route = admitted.resolve(model) if model is not None else admitted.openai_route()
    if span is not None and admitted.is_limited:
        upload.reject_duplicate_model(ModelFieldScanner(content_type, strict=True), span[1])
    endpoint = request[CONTEXT].endpoints[route.upstream]
    if request[MATCH].endpoint in endpoint.api.forms:
        return await _answer_form(request, deadlines, upload, route, model)
    if span is not None and route.upstream_model != model:
        upload.buffered_prefix.replace(*span, route.upstream_model.encode())
    return await _relay(request, deadlines, upload, route, model)


async def _answer_form(
    request: web.Request,
    deadlines: CallDeadlines,
    upload: StreamedUpload,
    route: ModelRoute,
    model: str | None,
) -> web.StreamResponse:
    """Answer a form by an upstream without forms: its parts become another request."""
    record, context = await _admit(request, route, model), request[CONTEXT]
    body = await upload.read_whole()
    record.body_received_at = time.monotonic()
    content_type = request.headers.get("Content-Type", "")
    job = partial(asks_for_stream, request[MATCH].endpoint, body, content_type)
    streams = await context.offload.run(len(body), record.key_name, job)
    call = new_call(request, context, route, model, stream=streams, body=body)
    call = replace(call, headers={**call.headers, "content-type": content_type})
    return await CallRunner(request, deadlines, (route,), lambda _: call).run()


async def relay_raw(request: web.Request, deadlines: CallDeadlines) -> web.StreamResponse:
    """Relay a request to any path to the service of its API or of its model."""
    upload = _open_upload(request, deadlines)
    continue_if_expected(request)
    admitted, api = request[ADMITTED_CALL], api_name(request)
    model = await _read_model(request, upload) if _may_name_model(request) else None
    route = admitted.route_of(api) if model is None else admitted.resolve(model)
    return await _relay(request, deadlines, upload, route, model)


def _may_name_model(request: web.Request) -> bool:
    """Return whether to look for a model in the body of *request*.

    Not for a key limited to certain models, because such bodies may name a model anywhere.
    """
    if request.method != "POST" or api_name(request) != "openai":
        return False
    if "Content-Type" not in request.headers or not is_json_type(request):
        # Uploads are not buffered.
        return False
    return _coding(request) == "identity" and not request[ADMITTED_CALL].is_limited


def _coding(request: web.Request) -> str:
    """Return the body's ``Content-Encoding``, lower-cased.

    Raises:
        ProxyError: 415 `unsupported_encoding`, its value cannot be forwarded.
    """
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if not is_field_value(coding):
        raise ProxyError(415, "Unknown Content-Encoding.", code="unsupported_encoding")
    return coding or "identity"


async def _read_model(request: web.Request, upload: StreamedUpload) -> str | None:
    """Return the model in a JSON body, which is buffered, if another service than OpenAI has it.

    Invalid JSON and unknown models go to OpenAI, which judges them.

    Raises:
        ProxyError: as ``StreamedUpload.find_model``; 404, the model's service has no key; 400
            `unsupported_endpoint`, the service has no OpenAI-compatible API.
    """
    context, record = request[CONTEXT], request[RECORD]
    body = await upload.read_whole()
    job = partial(decode_head, body, context.settings.limits.json_depth)
    try:
        model = (await context.offload.run(len(body), record.key_name, job)).model
    except ProxyError:
        return None
    if not model or context.registry.route(model).upstream == OPENAI:
        return None
    route = request[ADMITTED_CALL].resolve(model)
    if context.endpoints[route.upstream].api.kind != "openai":
        message = f"{route.upstream} has nothing at this address of OpenAI's API."
        raise ProxyError(400, message, code="unsupported_endpoint", param="model")
    if route.upstream_model != model:
        named = partial(with_model, body, route.upstream_model)
        upload.buffered_prefix = ByteBuffer()
        upload.buffered_prefix.add(await context.offload.run(len(body), record.key_name, named))
    return model


async def _admit(request: web.Request, route: ModelRoute, model: str | None) -> CallRecord:
    """Check the rate limit and return the call's record, which names *route*.

    Raises:
        ProxyError: 429 `rate_limit_exceeded`.
    """
    await request[ADMITTED_CALL].check_rate_limit()
    record = request[RECORD]
    record.upstream, record.upstream_model = route.upstream, route.upstream_model
    record.model = model or "-"
    return record


def _open_upload(request: web.Request, deadlines: CallDeadlines) -> StreamedUpload:
    limit = request[CONTEXT].settings.max_body
    check_declared_length(request, limit)
    deadlines.is_upload = True
    return StreamedUpload(request, deadlines, limit)


async def _relay(
    request: web.Request,
    deadlines: CallDeadlines,
    upload: StreamedUpload,
    route: ModelRoute,
    model: str | None,
) -> web.StreamResponse:
    record, context = await _admit(request, route, model), request[CONTEXT]
    call = new_call(request, context, route, model, stream=False, body=b"")
    length = request.content_length
    if length is not None:
        # The length may differ, because a model may have been renamed.
        length += upload.buffered_prefix.size - record.bytes_in
    # The buffered prefix may be the whole body.
    has_body = bool(upload.buffered_prefix.size) or request.can_read_body
    headers = dict(call.headers)
    if length is not None and has_body:
        headers["content-length"] = str(length)
    if (coding := _coding(request)) != "identity":
        headers["content-encoding"] = coding  # the body is sent as it came
    call = replace(call, headers=headers)
    body = upload.pieces() if has_body else None
    if body is None:
        deadlines.request_received()
    # A streamed upload cannot be repeated, so it has one route and one attempt.
    runner = CallRunner(request, deadlines, (route,), lambda _: call, body=body)
    try:
        return await runner.run()
    except ProxyError:
        if upload.error is not None:
            raise upload.error from None
        raise
    finally:
        await upload.stop()
