"""The short way to an application's one route is the way that aiohttp takes."""

from aiohttp import web

from jarvis_proxy.aiohttp_ext.server import Handler, direct_dispatch
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.server.app import make_runner
from tests.support.raw_client import connect


def _app(seen: list[str]) -> web.Application:
    @web.middleware
    async def outer(request: web.Request, handler: Handler) -> web.StreamResponse:
        seen.append("outer")
        return await handler(request)

    @web.middleware
    async def inner(request: web.Request, handler: Handler) -> web.StreamResponse:
        seen.append("inner")
        return await handler(request)

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.path)
        assert request.app is app
        return web.Response(text="hello")

    app = web.Application(middlewares=[outer, inner])
    app.router.add_route("*", "/{path:.*}", handle)
    return app


async def test_middlewares_run_in_order_and_the_application_is_known() -> None:
    seen: list[str] = []
    runner = make_runner(_app(seen), Settings())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with connect(runner.addresses[0][1]) as connection:
            for path in (b"/a", b"/b"):
                await connection.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
                assert (await connection.response()).body == b"hello"
    finally:
        await runner.cleanup()

    assert seen == ["outer", "inner", "/a", "outer", "inner", "/b"]


def test_an_application_with_more_routes_takes_the_long_way() -> None:
    app = _app([])
    assert direct_dispatch(app) is not None
    (route,) = app.router.routes()
    app.router.add_get("/other", route.handler)
    assert direct_dispatch(app) is None
