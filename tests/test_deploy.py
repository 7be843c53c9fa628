"""The files in deploy/: what they promise about keys, memory and descriptors: D19."""

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
from asyncio.subprocess import DEVNULL
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from tests.server.handlers.realtime_scene import scene
from tests.support.balancers import (
    HAPROXY,
    HAPROXY_CFG,
    NGINX,
    NGINX_CONF,
    haproxy,
    needs_haproxy,
    needs_nginx,
    nginx,
)
from tests.support.eventually import eventually
from tests.support.raw_websocket import TEXT, Refused, opened
from tests.support.server_process import free_port

DEPLOY = HAPROXY_CFG.parent


def lines(name: str) -> list[str]:
    """Return the lines of a file in deploy/ that are no comments."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_nothing_answers_on_port_80_where_keys_would_come_in_clear(name: str) -> None:
    found = lines(name)

    assert not [
        line for line in found if re.search(r"listen\s.*\b80\b|return 30|http://\S+ \{", line)
    ]
    if name == "Caddyfile":
        assert "auto_https disable_redirects" in found


def test_the_container_trusts_one_address_of_its_own_network() -> None:
    text = "\n".join(lines("compose.yaml"))
    values = dict(re.findall(r"(TRUSTED_PROXIES|subnet|gateway): (\S+)", text))

    assert values["TRUSTED_PROXIES"] == values["gateway"]
    network = ip_network(values["subnet"])
    assert network.prefixlen >= 28
    assert ip_network(values["gateway"]).subnet_of(network)  # type: ignore[arg-type]  # IPv4 both


def test_container_and_unit_are_limited_in_memory() -> None:
    assert {"mem_limit: 1g", "memswap_limit: 1g"} <= set(lines("compose.yaml"))
    assert {"MemoryMax=1G", "MemorySwapMax=0"} <= set(lines("jarvis-proxy.service"))


@needs_nginx
async def test_a_session_goes_through_nginx(tmp_path: Path) -> None:
    async with (
        scene() as (proxy, _),
        nginx(tmp_path, [proxy.port, proxy.port]) as port,
    ):
        assert await echoes(port) == b"hello"


@needs_haproxy
async def test_a_session_goes_through_haproxy(tmp_path: Path) -> None:
    async with (
        scene() as (proxy, _),
        haproxy(tmp_path, [proxy.port, proxy.port]) as port,
    ):
        assert await echoes(port) == b"hello"


async def echoes(port: int) -> bytes:
    """Return what comes back of a message in a session through *port*, once there is one."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with opened(port) as socket:
                    await socket.send(TEXT, b"hello")
                    frame = await socket.receive()
                    assert frame is not None
                    return frame.data
            except Refused:  # HAProxy has not seen the servers yet
                await asyncio.sleep(0.1)


@needs_nginx
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("jarvis.example.com")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "fullchain.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "privkey.pem"))
    text = NGINX_CONF.read_text(encoding="utf-8")
    text = text.replace("/etc/letsencrypt/live/jarvis.example.com", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(text.replace("/var/log/nginx", str(tmp_path)))
    done = subprocess.run(
        [str(NGINX), "-t", "-q", "-p", tmp_path, "-g", f"pid {tmp_path}/p;", "-c", "nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@needs_haproxy
async def test_haproxy_does_with_descriptors_that_a_machine_has(tmp_path: Path) -> None:
    """It refuses to start where it may open too few; checking its configuration does not tell."""
    port = free_port()
    text = HAPROXY_CFG.read_text(encoding="utf-8").replace("bind :80\n", f"bind 127.0.0.1:{port}\n")
    (tmp_path / "haproxy.cfg").write_text(re.sub(r"10\.0\.0\.1\d:9000", "127.0.0.1:9", text))
    command = f"ulimit -n 17000; exec {HAPROXY} -f {tmp_path}/haproxy.cfg"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", command, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await eventually(lambda: process.returncode is not None or is_open(port))
        assert process.returncode is None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "jarvis-proxy.service").read_text(encoding="utf-8")
    # The program is not installed here.
    text = re.sub(r"^ExecStart=.*", "ExecStart=/bin/true", text, flags=re.MULTILINE)
    (tmp_path / "jarvis-proxy.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "jarvis-proxy.service")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "jarvis-proxy.service" not in done.stderr, done.stderr
