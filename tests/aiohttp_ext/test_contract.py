"""Every private name of aiohttp that is used, and of what kind it has to be.

An update of aiohttp that takes one away, or makes something else of it, fails here first.
"""

import ast
import re
from collections import deque
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.http import RawRequestMessage
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.server.app import make_runner

PACKAGE: Final = Path(__file__).resolve().parents[2] / "jarvis_proxy"
PRIVATE: Final = frozenset({"_messages", "_lingering_time", "_match_info", "_reader", "_response"})
INNER: Final = re.compile(
    r"aiohttp\.(helpers|streams|http_exceptions|client_proto|client_reqrep|web_protocol|http_writer)"
)


async def test_messages_are_a_queue_of_parsed_requests_and_errors() -> None:
    runner = make_runner(web.Application(), Settings())
    await runner.setup()
    try:
        handler = runner.server.new_handler(runner.server())
        assert type(handler._messages) is deque
        handler.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        message, payload = handler._messages[-1]
        assert isinstance(message, RawRequestMessage)
        assert payload.is_eof()
        handler.data_received(b"\x00\r\n\r\n")
        assert not isinstance(handler._messages[-1][0], RawRequestMessage)
    finally:
        await runner.cleanup()


async def test_lingering_time_is_the_constructors() -> None:
    runner = make_runner(web.Application(), Settings())
    await runner.setup()
    try:
        handler = runner.server.new_handler(runner.server())
        assert handler._lingering_time == 2.0
        handler.linger(30)
        assert handler._lingering_time == 30
    finally:
        await runner.cleanup()


def test_match_info_gives_a_request_its_application() -> None:
    async def handle(request: web.Request) -> web.Response:
        raise AssertionError

    app = web.Application()
    route = app.router.add_get("/", handle)
    found = UrlMappingMatchInfo({}, route)
    found.add_app(app)
    found.freeze()
    request = make_mocked_request("GET", "/")
    request._match_info = found
    assert request.app is app


async def test_a_websocket_has_what_reads_frames() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoclose=False, autoping=False, decode_text=False)
        await socket.prepare(request)
        assert socket._reader is not None
        message = await socket._reader.read()
        await socket.send_frame(message.data, message.type)
        return socket

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client:
        socket = await client.ws_connect("/", autoping=False, decode_text=False)
        await socket.send_frame(b"x", WSMsgType.PING)
        assert await socket._reader.read() == (WSMsgType.PING, b"x", "")
        assert callable(socket._response.close)
        assert socket._response.connection is not None


INHERITED: Final = frozenset({"_messages", "_lingering_time"})
"""Those that a class of the proxy reads or writes on itself, as aiohttp's class has them."""


def _private_names(path: Path) -> set[str]:
    """Return the private attributes that the module uses and does not define."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {"_field_names", "_replace", "_asdict"}
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in own
    } - _defined(tree)


def _defined(tree: ast.Module) -> set[str]:
    """Return what a module defines by these names itself, in slots or by assignment."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
            and node.attr not in INHERITED
        ):
            names.add(node.attr)
    return names


def test_the_names_above_are_all_there_are() -> None:
    used = set().union(*(_private_names(path) for path in (PACKAGE / "aiohttp_ext").glob("*.py")))
    assert used == PRIVATE


@pytest.mark.parametrize("folder", ["upstream_client"])
def test_the_path_to_upstreams_uses_public_names_only(folder: str) -> None:
    for path in (PACKAGE / folder).glob("*.py"):
        assert _private_names(path) == set(), path.name


def test_inner_modules_of_aiohttp_are_imported_nowhere() -> None:
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if INNER.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_public_names_are_there() -> None:
    """Those that no other test would miss by name."""
    assert callable(aiohttp.ClientRequest.connection_key.fget)  # type: ignore[attr-defined] # a property
    assert callable(web.RequestHandler.handle_error)
