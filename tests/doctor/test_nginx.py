"""A real nginx in front: one that buffers, two in a row, the defaults, and the right one."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import KEY, ProxyFactory
from tests.doctor.fixtures import Transcript, free_port, probe_env, run_doctor
from tests.doctor.transcripts import assert_golden

NGINX = shutil.which("nginx")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

# In HTTP/1.0, nginx's default, the end of the connection is the end of the answer, so a buffer
# waits until it is full. Chunks of HTTP/1.1 it passes on one by one, even with its buffers on.
LARGE_BUFFERS = (
    "proxy_http_version 1.0; proxy_buffering on; proxy_buffer_size 64k; proxy_buffers 8 64k;"
    " client_max_body_size 80m;"
)
RIGHT = (
    'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_cache off;'
    " gzip off; client_max_body_size 80m;"
)
DEFAULTS = "proxy_http_version 1.0; proxy_buffering on;"
CONFIG = """\
{user}daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr notice;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {servers}
}}
"""
SERVER = """\
server {{
  listen 127.0.0.1:{port};
  location / {{
    proxy_pass http://127.0.0.1:{target};
    {settings}
  }}
}}
"""


@contextlib.asynccontextmanager
async def nginx(folder: Path, target: int, *settings: str) -> AsyncIterator[int]:
    """Run an nginx with a server for each of *settings*, one behind the other; yield the port."""
    servers = ""
    for words in settings:
        port = free_port()
        servers += SERVER.format(port=port, target=target, settings=words)
        target = port
    # As root its worker would run as another user, who may not enter the test's folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(user=user, folder=folder, servers=servers))
    process = await asyncio.create_subprocess_exec(
        str(NGINX), "-p", str(folder), "-c", str(config), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            while b"start worker process " not in (line := await process.stderr.readline()):
                assert line, "nginx did not start"
        yield target
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def check_port(folder: Path, port: int) -> Transcript:
    return await run_doctor(
        folder,
        None,
        *("--client", "none", "--url", f"http://127.0.0.1:{port}"),
        on=probe_env(),
        environ={"JARVIS_KEY": KEY},
    )


async def test_buffering_nginx_is_found_and_named(tmp_path: Path, proxy: ProxyFactory) -> None:
    ignoring = f"{LARGE_BUFFERS} proxy_ignore_headers X-Accel-Buffering;"
    async with proxy() as running, nginx(tmp_path, running.port, ignoring) as port:
        found = await check_port(tmp_path, port)

    assert found.code == 1
    assert_golden("nginx_buffering", found)


async def test_outer_nginx_of_two_buffers(tmp_path: Path, proxy: ProxyFactory) -> None:
    """The inner one obeys X-Accel-Buffering and keeps the header to itself."""
    twice = (LARGE_BUFFERS, LARGE_BUFFERS)
    async with proxy() as running, nginx(tmp_path, running.port, *twice) as port:
        found = await check_port(tmp_path, port)

    assert "nginx buffers streams" in " ".join(found.lines_of("stream").split())


async def test_small_buffers_are_found(tmp_path: Path, proxy: ProxyFactory) -> None:
    small = (
        "proxy_http_version 1.0; proxy_buffering on; proxy_buffer_size 2k; proxy_buffers 8 2k;"
        " proxy_busy_buffers_size 2k; proxy_ignore_headers X-Accel-Buffering;"
        " client_max_body_size 80m;"
    )
    async with proxy() as running, nginx(tmp_path, running.port, small) as port:
        found = await check_port(tmp_path, port)

    assert "nginx buffers streams" in " ".join(found.lines_of("stream").split())


async def test_default_nginx_streams_but_refuses_large_requests(
    tmp_path: Path, proxy: ProxyFactory
) -> None:
    """The proxy's X-Accel-Buffering turns its buffers off; its 1 MB for bodies stays."""
    async with proxy() as running, nginx(tmp_path, running.port, DEFAULTS) as port:
        found = await check_port(tmp_path, port)

    assert found.code == 0
    assert_golden("nginx_defaults", found)


async def test_compressing_nginx_is_found(tmp_path: Path, proxy: ProxyFactory) -> None:
    packing = (
        "proxy_http_version 1.1; proxy_buffering off; gzip on; gzip_types text/event-stream;"
        " gzip_min_length 1; gzip_proxied any; client_max_body_size 80m;"
    )
    async with proxy() as running, nginx(tmp_path, running.port, packing) as port:
        found = await check_port(tmp_path, port)

    assert "nginx compresses them (gzip)" in " ".join(found.lines_of("stream").split())


async def test_recommended_nginx_is_ok(tmp_path: Path, proxy: ProxyFactory) -> None:
    async with proxy() as running, nginx(tmp_path, running.port, RIGHT) as port:
        found = await check_port(tmp_path, port)

    assert found.code == 0
    assert_golden("nginx_right", found)


async def test_nginx_whose_proxy_is_down_is_named(tmp_path: Path) -> None:
    async with nginx(tmp_path, free_port(), RIGHT) as port:
        found = await check_port(tmp_path, port)

    assert found.code == 1
    assert "502: nginx answers, but does not reach the proxy" in found.lines_of("health")
