"""Uploads: forms whose `model` is found while they stream on, and bodies of any other kind. IO."""

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from msgspec.structs import replace

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.forms import FormScanner, invalid_form
from jarvis_proxy.registry import Route
from jarvis_proxy.web.body import check_declared_length, continue_if_expected, too_large
from jarvis_proxy.web.call import new_call
from jarvis_proxy.web.conversation import Conversation
from jarvis_proxy.web.keys import ADMISSION, RECORD, SHELL
from jarvis_proxy.web.watch import Watched

_LOOK_AHEAD: Final = 1024 * 1024
"""So much of a form is read in search of its model before the upload starts without it."""


class Upload:
    """A request body on its way upstream: counted, never held."""

    def __init__(self, request: web.Request, watched: Watched, limit: int) -> None:
        self._request = request
        self._watched = watched
        self._limit = limit
        self._record = request[RECORD]
        self.scanner: FormScanner | None = None
        self.upstream = ""
        self.head: list[bytes] = []
        self.error: ProxyError | None = None
        self._second: FormScanner | None = None

    async def read(self) -> bytes:
        """Return what has arrived, ``b""`` at the end.

        Raises:
            ProxyError: 413, the body is past its limit.
        """
        data = await self._request.content.readany()
        self._watched.heard = True
        self._record.bytes_in += len(data)
        if self._record.bytes_in > self._limit:
            raise too_large(self._limit)
        return data

    async def find_model(self, scanner: FormScanner) -> None:
        """Read on until the model is known, the form ends, or enough was read in vain."""
        self.scanner = scanner
        size = 0
        while scanner.model is None and size < _LOOK_AHEAD:
            data = await self.read()
            if not data:
                return
            self._request[ADMISSION].hold(len(data))
            self.head.append(data)
            size += len(data)
            scanner.feed(data)

    def refuse_second(self, scanner: FormScanner) -> None:
        """Search the rest of the form for another model, which an upstream might take instead.

        Raises:
            ProxyError: 400 `invalid_multipart`, now or while the rest is read.
        """
        assert self.scanner is not None  # noqa: S101 - the first model was found with it
        assert self.scanner.span is not None  # noqa: S101 - as above
        self._second = scanner
        self._check_second(b"".join(self.head)[self.scanner.span[1] :])

    def _check_second(self, data: bytes) -> None:
        if self._second is None:
            return
        self._second.feed(data)
        if self._second.model is not None:
            raise invalid_form("it has two fields called 'model'")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the whole body: what was read ahead, then the rest as it arrives."""
        try:
            for data in self.head:
                yield data
            self.head = []
            while data := await self.read():
                self._check_late_model(data)
                self._check_second(data)
                yield data
        except ProxyError as exc:
            # aiohttp reports a failed body as a failed connection; keep the cause.
            self.error = exc
            raise
        self._watched.body_read()

    def _check_late_model(self, data: bytes) -> None:
        scanner = self.scanner
        if scanner is None or scanner.model is not None:
            return
        scanner.feed(data)
        if scanner.model is None:
            return
        self._record.model = scanner.model
        route = self._request[ADMISSION].resolve(scanner.model)
        # The upload is on its way already, and the name in it cannot be changed any more.
        if route != Route(self.upstream, scanner.model):
            raise ProxyError(
                400,
                "Put the form's 'model' field before its file: the upload must start before the "
                "file is here as a whole.",
                code="model_after_file",
                param="model",
            )


async def relay_form(request: web.Request, watched: Watched) -> web.StreamResponse:
    """Relay a multipart form by its `model` field."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProxyError(415, "Send forms uncompressed.", code="unsupported_encoding")
    admission = request[ADMISSION]
    upload = _open(request, watched)
    content_type = request.headers.get("Content-Type", "")
    scanner = FormScanner(content_type)
    await continue_if_expected(request)
    await upload.find_model(scanner)
    model = scanner.model
    # With a large file in front of its model, the upload starts where unknown models go.
    route = admission.resolve(model) if model is not None else admission.openai()
    upload.upstream = route.upstream
    if model is not None and admission.is_limited:
        upload.refuse_second(FormScanner(content_type))
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
    if model is not None and route.target != model and upload.scanner is not None:
        length = _rename(upload, route.target, length)
    # What was read ahead may have been all of it.
    has_body = bool(upload.head) or request.can_read_body
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


def _rename(upload: Upload, target: str, length: int | None) -> int | None:
    """Put *target* in place of the model's name in what was read ahead; return the new length."""
    assert upload.scanner is not None  # noqa: S101 - the caller checked
    assert upload.scanner.span is not None  # noqa: S101 - a model was found
    start, end = upload.scanner.span
    whole = b"".join(upload.head)
    name = target.encode()
    upload.head = [whole[:start], name, whole[end:]]
    return None if length is None else length + len(name) - (end - start)
