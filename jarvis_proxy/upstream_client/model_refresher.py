"""Refreshes the model list in the background. IO."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.model_list import (
    ModelEntry,
    ModelList,
    parse_gemini_models,
    parse_openai_models,
)
from jarvis_proxy.routing.models import EMBEDDED
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, map_read_error
from jarvis_proxy.upstream_client.hops import with_mark

if TYPE_CHECKING:
    from jarvis_proxy.upstream_client.endpoint import UpstreamEndpoint

MODEL_LISTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "openai": ("/models", {}),
    "gemini": ("/models?pageSize=1000", {}),
    "messages": ("/v1/models?limit=1000", {"anthropic-version": "2023-06-01"}),
}
"""Each API's path for its list of models, and the headers that it requires."""
_LOG: Final = logging.getLogger(__name__)
_FIRST_AFTER: Final = 1.0
"""Seconds after the start: the first requests take precedence."""
_STALE_AFTER: Final = 300.0
_TIMEOUT: Final = 20.0
_MAX_PAGES: Final = 20
_MAX_BODY: Final = 8 * 1024 * 1024


class ModelListRefresher:
    """Asks every upstream with a key for its models: soon after the start, then on demand.

    Times are in seconds; no setting changes them.
    """

    def __init__(
        self,
        model_list: ModelList,
        endpoints: Mapping[str, "UpstreamEndpoint"],
        *,
        first_after: float = _FIRST_AFTER,
        stale_after: float = _STALE_AFTER,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._model_list = model_list
        self._endpoints = endpoints
        self._first_after = first_after
        self._stale_after = stale_after
        self._timeout = timeout
        self._wanted = asyncio.Event()
        self._refreshed_at: float | None = None

    def wake_if_stale(self) -> None:
        """Start a background refresh if the lists are old."""
        last = self._refreshed_at
        if last is not None and time.monotonic() - last > self._stale_after:
            self._wanted.set()

    async def run(self) -> None:
        """Refresh until cancelled."""
        await asyncio.sleep(self._first_after)
        while True:
            await self.refresh()
            self._wanted.clear()
            await self._wanted.wait()

    async def refresh(self) -> None:
        """Ask every upstream once, all at the same time."""
        names = [n for n, place in self._endpoints.items() if n != EMBEDDED and place.key_pool.keys]
        await asyncio.gather(*(self._refresh(name) for name in names))
        self._refreshed_at = time.monotonic()

    async def _refresh(self, name: str) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                entries = await self._fetch(name)
        except (ProxyError, TimeoutError) as exc:
            self._model_list.failed(name)
            code = exc.code if isinstance(exc, ProxyError) else "timeout"
            _LOG.warning("the model list of %s could not be read: %s", name, code)
        else:
            self._model_list.update(name, entries)

    async def _fetch(self, name: str) -> list[ModelEntry]:
        kind = self._endpoints[name].api.kind
        path, _ = MODEL_LISTS[kind]
        if kind != "gemini":
            return parse_openai_models(await self._get(name, path))
        entries: list[ModelEntry] = []
        token: str | None = None
        seen: set[str] = set()
        for _ in range(_MAX_PAGES):
            page = f"&pageToken={quote(token, safe='')}" if token else ""
            found, token = parse_gemini_models(await self._get(name, path + page))
            entries += found
            if token is None or token in seen:
                break
            seen.add(token)
        return entries

    async def _get(self, name: str, path: str) -> bytes:
        place = self._endpoints[name]
        _, headers = MODEL_LISTS[place.api.kind]
        request = UpstreamRequest("GET", path, headers, b"")
        if place.loop_mark:
            request = with_mark(request, place.loop_mark, None)
        reply = await place.api.transport.send(request, place.key_pool.keys[0])
        try:
            pieces, size = [], 0
            while size <= _MAX_BODY and (data := await reply.readany()):
                size += len(data)
                pieces.append(data)
        except NETWORK_ERRORS as exc:
            raise map_read_error(exc) from exc
        finally:
            reply.release_at_end()
        if reply.status == 508:
            raise ProxyError(508, "The upstream leads back here.", code="loop_detected")
        if reply.status != 200:
            raise ProxyError(502, "No model list.", code=f"status_{reply.status}")
        return b"".join(pieces)
