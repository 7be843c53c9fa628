"""Large whole answers to slow clients: all of them arrive, under the clock, with TLS too."""

import asyncio
import io
import ssl
from pathlib import Path

import pytest

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.logging import configure_logging
from jarvis_proxy.runtime import listeners as listen
from jarvis_proxy.runtime import tls as tls_module
from jarvis_proxy.runtime.listeners import bind
from jarvis_proxy.runtime.tls import tls_context
from jarvis_proxy.server.app import create_app, make_runner
from tests.conftest import KEY, OPENAI_KEY
from tests.runtime.test_tls import AUTHORITY
from tests.runtime.test_tls import settings as tls_settings
from tests.support.raw_client import RawConnection
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

BODY = b'{"data":"' + b"x" * 16_000_000 + b'"}'


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "tls"])
async def test_slow_client_gets_all_of_a_large_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_tls: bool
) -> None:
    """What waits in TLS's buffers is not sent: the connection is not idle, nor to be closed."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(BODY)

    monkeypatch.setattr(tls_module, "_SHUTDOWN_TIMEOUT", 0.1)
    upstream = RawUpstream(play)
    async with upstream.running():
        settings = Settings.from_env(
            {
                "PROXY_API_KEYS": KEY,
                "OPENAI_API_KEY": OPENAI_KEY,
                "OPENAI_BASE_URL": upstream.base_url,
                "STATE_DIR": "",
            }
        )
        writer, log = configure_logging("text", "info", io.StringIO())
        runner = make_runner(create_app(settings, log), settings)
        await runner.setup()
        runner.server.set_keepalive(0.2)
        (sock,) = await bind(["127.0.0.1"], 0)
        tls = tls_context(tls_settings(tmp_path)) if has_tls else None
        await listen.TlsBoundedSite(runner, sock, tls).start()
        trusted = ssl.create_default_context()
        AUTHORITY.configure_trust(trusted)
        reader, stream = await asyncio.open_connection(
            *sock.getsockname(),
            ssl=trusted if has_tls else None,
            server_hostname="localhost" if has_tls else None,
            limit=2**16,
        )
        try:
            client = RawConnection(reader, stream)
            body = b'{"model":"gpt-4o","messages":[]}'
            await client.post("/v1/chat/completions", body, {"Authorization": f"Bearer {KEY}"})
            await client.head()
            await asyncio.sleep(0.6)
            assert await asyncio.wait_for(reader.readexactly(len(BODY)), 10) == BODY
        finally:
            stream.transport.abort()
            await runner.cleanup()
            writer.close()
