"""A proxy with the strict chat service behind it, under the name ``deepseek``."""

import contextlib
from collections.abc import AsyncIterator

from tests.conftest import Proxy, running_proxy
from tests.support.raw_upstream import RawUpstream
from tests.support.strict_chat import StrictChat

MODEL = "deepseek-chat"


@contextlib.asynccontextmanager
async def proxy_before(
    service: StrictChat, upstream: RawUpstream | None = None, **env: str
) -> AsyncIterator[Proxy]:
    """Start *service*, as *upstream* if that is given, and a proxy before it.

    *env* are further settings.
    """
    async with (
        (upstream or service.running()).running() as upstream,
        running_proxy(
            UPSTREAMS="deepseek",
            DEEPSEEK_BASE_URL=upstream.base_url,
            DEEPSEEK_API_KEY="sk-chat-canary-0123456789",
            DEEPSEEK_MODELS="deepseek-*",
            **env,
        ) as proxy,
    ):
        yield proxy
