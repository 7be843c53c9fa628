"""Reads models, tokens and keys in errors from a session's messages. IO.

Messages are not kept. Only a model's name and keys are changed in them.
"""

import time
from typing import Final

from aiohttp import WSMsgType, web
from msgspec.structs import replace

from jarvis_proxy.access.permissions import model_not_found
from jarvis_proxy.aiohttp_ext.websockets import DATA, Frame
from jarvis_proxy.dialects.realtime.events import may_be_error, models_in, usage_in
from jarvis_proxy.dialects.realtime.models import with_models
from jarvis_proxy.server.context import ADMITTED_CALL, CONTEXT, RECORD
from jarvis_proxy.server.secrecy import redact_events, redact_record

_TEXT: Final = WSMsgType.TEXT
_LONGEST_NAME: Final = 256


class SessionObserver:
    """Counts one session, whose *request* is the handshake."""

    __slots__ = (
        "_admitted",
        "_context",
        "_held_down",
        "_held_up",
        "_record",
        "_request",
        "_transcription",
    )

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._context = request[CONTEXT]
        self._record = request[RECORD]
        self._admitted = request[ADMITTED_CALL]
        self._held_up = self._admitted.open_reservation()
        self._held_down = self._admitted.open_reservation()
        self._transcription = ""

    def from_client(self, frame: Frame) -> Frame:
        """Return a client's *frame* as it goes to the upstream.

        Raises:
            ProxyError: 404 `model_not_found`, it names a model that the key may not use;
                400 `invalid_json`, the model cannot be read; 503 `overloaded`, memory is full.
        """
        if frame.kind not in DATA:
            return frame
        self._record.bytes_in += len(frame.data)
        self._held_up.set(len(frame.data))
        data = with_models(frame.data, self._target, strict=self._admitted.is_limited)
        return frame if data is frame.data else Frame(frame.kind, data)

    def _target(self, name: str) -> str:
        """Return the upstream's own name for the model *name*."""
        is_limited = self._admitted.is_limited
        resolve = self._admitted.resolve if is_limited else self._context.registry.route
        route = resolve(name)
        if route.upstream == self._record.upstream:
            return route.upstream_model
        if is_limited:
            raise model_not_found(name)
        return name

    def from_upstream(self, frame: Frame) -> Frame:
        """Return an upstream's *frame* as it goes to the client; count what it reports."""
        if frame.kind not in DATA:
            return frame
        self._record.bytes_out += len(frame.data)
        self._held_down.set_unchecked(len(frame.data))
        if frame.kind is not _TEXT:
            return frame
        self._count(frame.data)
        if not may_be_error(frame.data):
            return frame
        clean = redact_events(self._request, frame.data)
        return frame if clean is frame.data else Frame(frame.kind, clean)

    def without_keys(self, frame: Frame) -> Frame:
        """Return an upstream's close *frame*, without its reason if a key is in it."""
        reason = frame.data[2:]
        is_clean = not reason or redact_events(self._request, reason) == reason
        return frame if is_clean else Frame(frame.kind, frame.data[:2])

    def _count(self, event: bytes) -> None:
        record = self._record
        if (models := models_in(event)) is not None:
            self._transcription = models.transcription[:_LONGEST_NAME]
            if not record.upstream_model:
                record.upstream_model = models.model[:_LONGEST_NAME]
        if (used := usage_in(event)) is None:
            return
        counts = used.tokens.bounded()
        record.add_tokens(*counts)
        record.is_counted = True
        self._admitted.count_tokens(counts[0] + counts[1])
        model = (used.is_transcription and self._transcription) or record.upstream_model
        self._add_usage(model, counts)

    def _add_usage(self, model: str, counts: tuple[int, ...]) -> None:
        """Count one response as a finished call, because a session may last for an hour."""
        part = replace(
            self._record,
            upstream_model=model,
            ended_at=time.monotonic(),
            is_counted=False,
            prompt_tokens=None,
            completion_tokens=None,
            cached_tokens=None,
            reasoning_tokens=None,
            cache_write_tokens=None,
            audio_tokens=0,
            image_tokens=0,
        )
        part.add_tokens(*counts)
        part.cost = self._context.prices.cost(part)
        redact_record(self._request, part)
        self._context.usage.add(part)

    def check_budget(self) -> None:
        """Check that the key's budgets are not used up.

        Raises:
            LimitExceeded: 429 `insufficient_quota`.
        """
        if self._record.is_counted:
            self._context.usage.check(self._record.key_name, time.time())
