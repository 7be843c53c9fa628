"""Uploads: forms that wait for their `model` and stream on, and bodies of any other kind. IO.

Nothing of a form goes anywhere before its model is known. What comes before it is held in memory,
never on disk, and counted.
"""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web
from msgspec.structs import replace

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.models import Route
from jarvis_proxy.server.context import ADMISSION, RECORD, SHELL
from jarvis_proxy.server.handlers.new_call import new_call, raw_query
from jarvis_proxy.server.relay.deadlines import Watched
from jarvis_proxy.server.relay.retry_loop import Conversation
from jarvis_proxy.server.request_body import check_declared_length, continue_if_expected, too_large
from jarvis_proxy.wire.multipart_model import FormScanner, invalid_form
from jarvis_proxy.wire.pieces import Pieces
from jarvis_proxy.wire.single_model import check_query


class Upload:
    """A request body on its way upstream: what is read before it may go is held, the rest not."""

    def __init__(self, request: web.Request, watched: Watched, limit: int) -> None:
        self._request = request
        self._watched = watched
        self._limit = limit
        self._record = request[RECORD]
        self._share = request[ADMISSION].share()
        self.head = Pieces()
        """What was read and has not gone on."""
        self.error: ProxyError | None = None
        self._reader: asyncio.Task[object] | None = None
        self._second: FormScanner | None = None

    async def read(self) -> bytes:
        """Return what has arrived, ``b""`` at the end.

        Raises:
            ProxyError: 413, the body is past its limit.
        """
        watched = self._watched
        watched.awaits_client = True
        self._reader = asyncio.current_task()
        data = await self._request.content.readany()
        self._reader = None
        watched.awaits_client = False
        watched.heard = True
        self._record.bytes_in += len(data)
        watched.received = self._record.bytes_in
        if self._record.bytes_in > self._limit:
            raise too_large(self._limit)
        return data

    async def stop(self) -> None:
        """Read no more: the upstream has answered without the rest.

        What still waits for the client's next bytes would be in the way of whoever reads on, so
        that the client can send to its end and then read the answer.
        """
        reader, self._reader = self._reader, None
        if reader is not None and reader is not asyncio.current_task():
            reader.cancel()
            await asyncio.wait([reader])

    async def find_model(self, scanner: FormScanner) -> None:
        """Read on until the model is known or the form ends.

        Raises:
            ProxyError: 413, 408 or 503 `overloaded`: it is too large, slow, or there is no memory;
                400 `invalid_multipart`.
        """
        while scanner.model is None and (data := await self.read()):
            self._share.add(len(data))
            self.head.add(data)
            scanner.feed(data)

    def refuse_second(self, scanner: FormScanner, start: int) -> None:
        """Search the form from *start* for another model, which an upstream might take instead.

        Raises:
            ProxyError: 400 `invalid_multipart`, now or while the rest is read.
        """
        self._second = scanner
        for data in self.head.after(start):
            self._check_second(data)

    def _check_second(self, data: bytes) -> None:
        if self._second is None:
            return
        self._second.feed(data)
        if self._second.model is not None:
            raise invalid_form("it has two fields called 'model'")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the whole body: what was read ahead, then the rest as it arrives."""
        try:
            while data := self.head.pop():
                yield data
                self._share.note(self.head.size)
            while data := await self.read():
                self._check_second(data)
                yield data
        except ProxyError as exc:
            # aiohttp reports a failed body as a failed connection; keep the cause.
            self.error = exc
            raise
        self._watched.body_read()


async def relay_form(request: web.Request, watched: Watched) -> web.StreamResponse:
    """Relay a multipart form by its `model` field."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProxyError(415, "Send forms uncompressed.", code="unsupported_encoding")
    admission = request[ADMISSION]
    upload = _open(request, watched)
    content_type = request.headers.get("Content-Type", "")
    scanner = FormScanner(content_type, strict=admission.is_limited)
    if admission.is_limited:
        check_query(raw_query(request))
    await continue_if_expected(request)
    await upload.find_model(scanner)
    model, span = scanner.model, scanner.span
    # Some addresses have a default of OpenAI's own.
    route = admission.resolve(model) if model is not None else admission.openai()
    if span is not None and admission.is_limited:
        upload.refuse_second(FormScanner(content_type, strict=True), span[1])
    if span is not None and route.target != model:
        upload.head.replace(*span, route.target.encode())
    return await _relay(request, watched, upload, route, model)


async def relay_any(request: web.Request, watched: Watched) -> web.StreamResponse:
    """Relay a request of any kind to OpenAI, unread."""
    upload = _open(request, watched)
    await continue_if_expected(request)
    # These paths name no model: they are OpenAI's.
    return await _relay(request, watched, upload, request[ADMISSION].openai(), None)


def _open(request: web.Request, watched: Watched) -> Upload:
    limit = request.app[SHELL].settings.max_body
    check_declared_length(request, limit)
    watched.uploading = True
    return Upload(request, watched, limit)


async def _relay(
    request: web.Request, watched: Watched, upload: Upload, route: Route, model: str | None
) -> web.StreamResponse:
    await request[ADMISSION].ask()
    record = request[RECORD]
    record.upstream, record.target = route.upstream, route.target
    if model:
        record.model = model
    shell = request.app[SHELL]
    call = new_call(request, shell, route, model, stream=False, body=b"")
    length = request.content_length
    if length is not None:
        length += upload.head.size - record.bytes_in  # a model of another name
    # What was read ahead may have been all of it.
    has_body = bool(upload.head.size) or request.can_read_body
    if length is not None and has_body:
        call = replace(call, headers={**call.headers, "content-length": str(length)})
    body = upload.pieces() if has_body else None
    if body is None:
        watched.body_read()
    # An upload streams on and cannot be sent again: one place, one attempt.
    conversation = Conversation(request, watched, (route,), lambda _: call, body=body)
    try:
        return await conversation.run()
    except ProxyError:
        if upload.error is not None:
            raise upload.error from None
        raise
    finally:
        await upload.stop()
