"""Finds out who listens on a port that this server cannot bind, for the error message. IO (blocks).

The kernel's tables name the process if this user may read them. A running Jarvis proxy hides its
descriptors, so its answer to a request identifies it.

Source: https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html (read 2026-11).
"""

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"
_TIMEOUT: Final = 0.5
_ANSWER_LIMIT: Final = 4096
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
_REQUEST: Final = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_OURS: Final = b'"service":"jarvis-openai-proxy"'
_PROC: Final = Path("/proc")


def port_owner(host: str, port: int, proc: Path = _PROC) -> str:
    """Return who listens on *port*, such as "process 71 (nginx)"; ``""`` if unknown."""
    process = _listening_process(port, proc)
    name = "" if process is None else _command(process)
    # A proxy's own process has Python's name, or hides its open files.
    may_be_jarvis = process is None or name.startswith(("python", "jarvis"))
    is_jarvis = may_be_jarvis and _is_jarvis(_LOOPBACK.get(host, host), port)
    if process is None:
        return "another Jarvis proxy" if is_jarvis else ""
    return f"{'another Jarvis proxy, ' if is_jarvis else ''}process {process.name} ({name})"


def _listening_process(port: int, proc: Path) -> Path | None:
    inodes = set(_listening_inodes(proc, port))
    for process in proc.glob("[0-9]*") if inodes else ():
        if not inodes.isdisjoint(_socket_inodes(process)):
            return process
    return None


def _is_jarvis(address: str, port: int) -> bool:
    """Request ``/health``, first without TLS, then with TLS but without verification."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return any(_OURS in _health(address, port, tls) for tls in (None, context))
    except TimeoutError:
        return False


def _health(address: str, port: int, tls: ssl.SSLContext | None) -> bytes:
    """Return the response, which may be incomplete.

    Raises:
        TimeoutError: nobody answers.
    """
    answer = b""
    try:
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection((address, port), _TIMEOUT))
            if tls is not None:
                sock = stack.enter_context(tls.wrap_socket(sock))
            sock.sendall(_REQUEST)
            while len(answer) < _ANSWER_LIMIT and (data := sock.recv(_ANSWER_LIMIT)):
                answer += data
    except TimeoutError:
        raise
    except OSError:
        # It uses another protocol, or is gone.
        pass
    return answer


def _listening_inodes(proc: Path, port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on *port*, on any address."""
    for table in ("net/tcp", "net/tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _socket_inodes(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(descriptor)
                if target.startswith("socket:["):
                    yield target[8:-1]


def _command(process: Path) -> str:
    """Return a process's name in printable form."""
    try:
        name = (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
    return "".join(char if char.isprintable() else "?" for char in name)
