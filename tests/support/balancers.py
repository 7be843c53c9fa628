"""HAProxy and nginx in front of several servers, as ``deploy/`` has them, on ports of a test."""

import asyncio
import contextlib
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.support.server_process import ROOT, free_port

HAPROXY = shutil.which("haproxy")
NGINX = shutil.which("nginx")
HAPROXY_CFG = ROOT / "deploy/haproxy.cfg"
NGINX_CONF = ROOT / "deploy/nginx.conf"
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def haproxy_cfg(port: int, servers: Sequence[int]) -> str:
    """Return deploy/haproxy.cfg with these ports on loopback in place of its addresses."""
    text = HAPROXY_CFG.read_text(encoding="utf-8")
    for number, server in enumerate(servers, 1):
        text = _swap(text, f"10.0.0.1{number}:9000", f"127.0.0.1:{server}")
    text = _swap(text, "maxconn 8000", "maxconn 2000")  # a test's machine may open few files
    return _swap(text, "bind :80\n", f"bind 127.0.0.1:{port}\n")


@contextlib.asynccontextmanager
async def haproxy(folder: Path, servers: Sequence[int]) -> AsyncIterator[int]:
    """Run HAProxy in front of *servers*; yield its port."""
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(haproxy_cfg(port, servers))
    async with _running(HAPROXY, "-f", str(config)):
        await _listening(port)
        yield port


def nginx_conf(folder: Path, port: int, servers: Sequence[int]) -> str:
    """Return deploy/nginx.conf for *servers*, without HTTPS, with its files in *folder*."""
    text = NGINX_CONF.read_text(encoding="utf-8")
    for line in ("least_conn;", "zone jarvis 64k;"):
        text = _swap(text, f"#{line}", line)
    text = _swap(text, "server 127.0.0.1:9000;", "")
    text = _swap(text, "proxy_next_upstream off;", "")
    text = _swap(text, "#proxy_next_upstream error;", "proxy_next_upstream error;")
    for number, server in enumerate(servers, 1):
        text = _swap(text, f"#server 10.0.0.1{number}:9000", f"server 127.0.0.1:{server}")
    for line in text.splitlines():
        if line.strip().startswith(("listen [::]", "ssl_")):
            text = _swap(text, f"{line}\n", "", 1)
    text = _swap(text, "listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    text = text.replace("/var/log/nginx", str(folder))
    # As root its workers would run as another user, who may not enter the test's folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"{user}daemon off;\npid {folder}/nginx.pid;\n{text}"


@contextlib.asynccontextmanager
async def nginx(folder: Path, servers: Sequence[int]) -> AsyncIterator[int]:
    """Run nginx in front of *servers*; yield its port."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(nginx_conf(folder, port, servers))
    async with _running(NGINX, "-p", str(folder), "-c", str(config)):
        await _listening(port)
        yield port


async def says(*command: str) -> tuple[int, str]:
    """Run a command; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    out, error = await process.communicate()
    return process.returncode or 0, (out + error).decode()


@contextlib.asynccontextmanager
async def _running(*command: str | None) -> AsyncIterator[Process]:
    words = [word for word in command if word is not None]
    process = await asyncio.create_subprocess_exec(*words, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)


def _swap(text: str, old: str, new: str, count: int = -1) -> str:
    assert old in text, f"{old!r} is not in the configuration"
    return text.replace(old, new, count)
