"""The short way from a connection to an application with one route. IO.

aiohttp finds the route and wraps it in the middlewares for each request, which costs as much as
parsing the request does.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from aiohttp import web
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from jarvis_proxy.aiohttp_ext.server_connection import Handler


def direct_dispatch(app: web.Application) -> Handler | None:
    """Return *app*'s middlewares around its one route, composed once; None if it has others."""
    routes = list(app.router.routes())
    if len(routes) != 1:
        return None
    (route,) = routes
    match_info = UrlMappingMatchInfo({}, route)
    match_info.add_app(app)
    match_info.freeze()
    handler: Handler = route.handler
    for middleware in reversed(app.middlewares):
        handler = partial(
            cast(Callable[..., Awaitable[web.StreamResponse]], middleware), handler=handler
        )

    def handle(request: web.Request) -> Awaitable[web.StreamResponse]:
        request._match_info = match_info  # it only tells the request its application
        return handler(request)

    return handle
