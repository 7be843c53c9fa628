"""Who has the port: by the kernel's tables, or by the answer of a proxy."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from jarvis_proxy.runtime import port_owner as module
from jarvis_proxy.runtime.port_owner import port_owner
from jarvis_proxy.runtime.tls import tls_context
from jarvis_proxy.server.handlers.info import HEALTH
from tests.conftest import running_proxy
from tests.runtime.test_tls import settings as tls_settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's"),
]
LISTEN, ESTABLISHED = "0A", "01"


def tables(proc: Path, *lines: tuple[str, str, str]) -> None:
    """Write a table of sockets: address with port, state, inode."""
    (proc / "net").mkdir()
    rows = [
        f"{n}: {address} 00000000:0000 {state} 0:0 0:0 0 1000 0 {inode} 1"
        for n, (address, state, inode) in enumerate(lines)
    ]
    (proc / "net" / "tcp").write_text("\n".join(["  sl  local_address ...", *rows, ""]))


def process(proc: Path, pid: int, name: str, *targets: str) -> None:
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(f"{name}\n")
    for number, target in enumerate(targets):
        (proc / str(pid) / "fd" / str(number)).symlink_to(target)


def test_listener_is_named_by_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        owner = port_owner("127.0.0.1", sock.getsockname()[1])

    assert owner.startswith(f"process {os.getpid()} (")


def test_only_the_listener_counts(tmp_path: Path) -> None:
    tables(
        tmp_path,
        ("0100007F:2329", ESTABLISHED, "11"),
        ("0100007F:2328", ESTABLISHED, "12"),
        ("00000000:2328", LISTEN, "13"),
    )
    process(tmp_path, 71, "client", "/dev/null", "socket:[12]", "socket:[11]")
    process(tmp_path, 72, "ng\x1binx", "pipe:[13]", "socket:[13]")

    assert port_owner("127.0.0.1", 0x2328, tmp_path) == "process 72 (ng?inx)"


def test_unknown_owner_has_no_name(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # it does not listen

        assert port_owner("127.0.0.1", sock.getsockname()[1], tmp_path) == ""


def test_listener_that_never_answers_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert port_owner("127.0.0.1", sock.getsockname()[1], tmp_path) == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_proxy_is_recognised_by_its_answer(host: str, tmp_path: Path) -> None:
    async with running_proxy() as proxy:
        owner = await asyncio.to_thread(port_owner, host, proxy.port, tmp_path)

    assert owner == "another Jarvis proxy"


async def test_proxy_that_hides_nothing_is_named_with_its_process() -> None:
    async with running_proxy() as proxy:
        owner = await asyncio.to_thread(port_owner, "127.0.0.1", proxy.port)

    assert owner.startswith(f"another Jarvis proxy, process {os.getpid()} (python")


@pytest.mark.parametrize("body", [HEALTH, b"{}"], ids=["ours", "other"])
async def test_proxy_with_tls_is_recognised_too(body: bytes, tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        writer.close()

    context = tls_context(tls_settings(tmp_path))
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        owner = await asyncio.to_thread(port_owner, "127.0.0.1", port, tmp_path)

    assert owner == ("another Jarvis proxy" if body == HEALTH else "")
