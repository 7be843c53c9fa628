"""The dashboard: its files, and its events for holders of the admin key. IO.

The page contains no data and asks for the key itself. The key is sent in a header, never in a URL.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from jarvis_proxy.access.client_keys import ClientKeys, presented_keys
from jarvis_proxy.client_guides import CLIENTS
from jarvis_proxy.client_guides.context import GuideContext, usable_models
from jarvis_proxy.client_guides.registry import Language, read_guide
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.context import CONTEXT, MATCH, RECORD
from jarvis_proxy.server.handlers.dashboard_feed import DashboardFeed
from jarvis_proxy.server.relay.client_stream import SSE_HEADERS
from jarvis_proxy.server.responses import json_response

DASHBOARD_FEED: Final = web.AppKey("DASHBOARD_FEED", DashboardFeed)
ADMIN_NAME: Final = "admin"
"""A viewer's key name in the log."""

_STATIC: Final = Path(__file__).parents[1] / "static"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
_SECURITY: Final[Mapping[str, str]] = {
    # Forbid inline scripts and styles, other sites, and text that becomes HTML.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One of the page's files."""

    body: bytes
    content_type: str
    etag: str


@cache
def asset(name: str) -> Asset:
    """Return a file of the package; *name* is one of ``routes.ASSETS``."""
    path = _STATIC / name
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:32])


async def page(request: web.Request) -> web.StreamResponse:
    """Send the page or one of its files; 304 if the browser has it."""
    headers = {**_SECURITY, "x-request-id": request[RECORD].request_id}
    name = request[MATCH].endpoint
    if name == "dashboard.html" and request.raw_path.partition("?")[0].endswith("/"):
        # The page's links are relative to a URL without a trailing slash.
        return web.Response(status=308, headers={**headers, "Location": "../dashboard"})
    found = asset(name)
    # The browser revalidates each time, so that the page and its files have the same version.
    headers |= {"Cache-Control": "no-cache", "ETag": f'"{found.etag}"'}
    known = request.if_none_match or ()
    if any(etag.value in (found.etag, "*") for etag in known):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = found.content_type
    return web.Response(body=found.body, headers=headers)


async def events(request: web.Request) -> web.StreamResponse:
    """Stream the dashboard's events to a viewer with the admin key.

    Raises:
        ProxyError: 401 `invalid_api_key`; 429 `rate_limit_exceeded`, repeated wrong keys; 503
            `overloaded`, too many viewers.
    """
    check_admin(request)
    context, feed = request[CONTEXT], request.app[DASHBOARD_FEED]
    async with contextlib.aclosing(feed.view(context)) as updates:
        first = await anext(updates)
        headers = {
            **_SECURITY,
            **SSE_HEADERS,
            "Cache-Control": "no-store, no-transform",
            "x-request-id": request[RECORD].request_id,
        }
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await _write(request, response, first)
        async for event in updates:
            await _write(request, response, event)
    await response.write_eof()
    return response


async def guides(request: web.Request) -> web.StreamResponse:
    """Send the set-up guides of clients, in the language of ``?language=``, to the admin.

    The page replaces ``{{root}}`` by its own URL. No guide contains a key.

    Raises:
        ProxyError: as ``events``.
    """
    check_admin(request)
    context = request[CONTEXT]
    language: Language = "zh" if request.query.get("language", "").startswith("zh") else "en"
    values = GuideContext("{{root}}", usable_models(context.settings, context.registry))
    found = [read_guide(client, values, language) for client in CLIENTS]
    headers = {**_SECURITY, "Cache-Control": "no-store", "x-request-id": request[RECORD].request_id}
    return json_response(request, msgspec.json.encode(found), headers=headers)


async def _write(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    try:
        async with asyncio.timeout(request[CONTEXT].settings.write_stall_timeout):
            await response.write(data)
    except TimeoutError:
        # A stalled viewer must not keep others out.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the viewer does not read") from None


def check_admin(request: web.Request) -> None:
    """Check the admin key; a wrong one counts like a client's wrong key.

    Raises:
        ProxyError: 401 `invalid_api_key`, 429 `rate_limit_exceeded`.
    """
    context, record = request[CONTEXT], request[RECORD]
    admin = context.settings.admin_key
    accepted = ClientKeys(() if admin is None else (admin,))
    keys = presented_keys(request.headers, None)
    if accepted.authenticate(keys) is None:
        if not keys:
            raise _wrong_key()  # without a key there is no guess
        raise context.admission.record_auth_failure(record.client_ip, len(keys), _wrong_key())
    record.key_name, record.authenticated = ADMIN_NAME, True


def _wrong_key() -> ProxyError:
    return ProxyError(
        401,
        "Incorrect admin key provided. Send ADMIN_KEY of this proxy's .env as "
        "'Authorization: Bearer KEY'.",
        code="invalid_api_key",
        should_retry=False,
    )
