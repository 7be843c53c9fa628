"""Loop detection: marks on requests to upstreams by which a proxy recognises its own. Pure.

The settings cannot reveal a loop through a host name, a reverse proxy or another machine. Each
proxy adds a mark that nobody else can make, and keeps the marks of the proxies before it.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.config.upstreams import DEFAULT_UPSTREAMS, UpstreamSettings
from jarvis_proxy.errors import ProxyError

LOOP_HEADER: Final = "x-jarvis-hop"
_MARK: Final = re.compile(r"[0-9a-f]{16}")
_MAX_MARKS: Final = 16
"""Most marks that are kept: more than any chain of proxies, and few enough for a header."""
_OFFICIAL: Final = frozenset(upstream.base_url for upstream in DEFAULT_UPSTREAMS)


class LoopMarks:
    """The marks of one process, one for each upstream, made from its *secret*."""

    __slots__ = ("marks", "settings")

    def __init__(self, secret: bytes, upstreams: Iterable[UpstreamSettings]) -> None:
        upstreams = tuple(upstreams)
        self.marks: Mapping[str, str] = {
            # OpenAI's and Google's own servers are not proxies of ours, so they get no mark.
            upstream.name: "" if upstream.base_url in _OFFICIAL else _mark(secret, upstream.name)
            for upstream in upstreams
        }
        self.settings: Mapping[str, str] = {
            self.marks[upstream.name]: upstream.url_setting
            for upstream in upstreams
            if self.marks[upstream.name]
        }

    def check(self, came_with: str) -> None:
        """Reject a request whose loop header holds a mark of this process.

        Raises:
            ProxyError: 508 `loop_detected`; it names the setting that leads back here.
        """
        for mark in _MARK.findall(came_with):
            if (setting := self.settings.get(mark)) is not None:
                raise loop_detected(setting)


def with_mark(request: UpstreamRequest, mark: str, came_with: str | None) -> UpstreamRequest:
    """Return *request* with *mark* after the marks that the client's request *came_with*."""
    earlier = _MARK.findall(came_with)[-_MAX_MARKS + 1 :] if came_with else ()
    return msgspec.structs.replace(
        request, headers={**request.headers, LOOP_HEADER: ",".join((*earlier, mark))}
    )


def loop_detected(setting: str) -> ProxyError:
    """Return the error for a request that came back to the proxy that sent it."""
    return ProxyError(
        508,
        f"This request came back to the proxy that had sent it: {setting} leads, directly or over"
        f" other servers, to this proxy itself. Set {setting} in its .env to the upstream's own"
        " address; a client's variable of that name may have been exported to the proxy.",
        code="loop_detected",
        should_retry=False,
    )


def _mark(secret: bytes, name: str) -> str:
    return blake2b(name.encode(), key=secret, digest_size=8).hexdigest()
