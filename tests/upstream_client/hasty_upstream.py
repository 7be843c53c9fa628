"""An upstream in threads of its own, which answers in the middle of a request and hangs up. IO.

It runs in a thread, outside of the event loop: what it sends may lie unread when the proxy writes.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from typing import Final

ANSWER: Final = (
    b"HTTP/1.1 413 Too Large\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n"
    b"Connection: close\r\n\r\ntoo large"
)


class HastyUpstream:
    """Reads as much of each body as *amounts* say in turn, answers, and resets the connection."""

    def __init__(self, amounts: Sequence[int], tls: ssl.SSLContext | None = None) -> None:
        self.is_gone = threading.Event()
        """Set whenever it has hung up."""
        self._amounts = amounts
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads: list[threading.Thread] = []

    @property
    def base_url(self) -> str:
        """Its address."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    @contextlib.contextmanager
    def running(self) -> Iterator["HastyUpstream"]:
        """Listen."""
        accepting = threading.Thread(target=self._accept)
        accepting.start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            self._listener.close()
            for thread in self._threads:
                thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # no longer listening
            while True:
                connection, _ = self._listener.accept()
                amount = self._amounts[len(self._threads) % len(self._amounts)]
                thread = threading.Thread(target=self._serve, args=(connection, amount))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket, amount: int) -> None:
        connection.settimeout(10)
        # Without it the kernel may keep the answer back, and drop it at the reset.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            seen = b""
            while b"\r\n\r\n" not in seen and (data := connection.recv(1000)):
                seen += data
            while amount > 0 and (data := connection.recv(65536)):
                amount -= len(data)
            if seen:
                connection.sendall(ANSWER)
        connection.close()  # what was not read makes it a reset
        self.is_gone.set()
