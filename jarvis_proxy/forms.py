"""multipart/form-data: finds the `model` field while the parts stream on. Pure.

Nothing of the parts is kept but the tail that may be the start of a delimiter or a part's head.

Source: RFC 7578 (multipart/form-data), RFC 2046 section 5.1.1 (delimiters).
"""

import re
from typing import Final

from jarvis_proxy.errors import ProxyError

_MAX_HEAD: Final = 16 * 1024
_MAX_VALUE: Final = 1024
_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^;,\s"]{1,70}))', re.IGNORECASE)
_MODEL_FIELD: Final = re.compile(
    rb'^content-disposition:[^\r\n]*;\s*name="?model"?\s*(?:;[^\r\n]*)?$',
    re.IGNORECASE | re.MULTILINE,
)


class FormScanner:
    """Reads a form's bytes as they pass and remembers what its `model` field says."""

    __slots__ = ("_buffer", "_buffer_at", "_delimiter", "_in_head", "_model_from", "model", "span")

    def __init__(self, content_type: str) -> None:
        """Take the boundary from a ``Content-Type``.

        Raises:
            ProxyError: 400 `invalid_multipart`, it names none.
        """
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise invalid_form("its Content-Type names no boundary")
        self._delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
        # The first delimiter has no line break before it: pretend that one came.
        self._buffer = b"\r\n"
        self._buffer_at = -2  # where in the form the buffer begins
        self._in_head = False
        self._model_from: int | None = None
        self.model: str | None = None
        self.span: tuple[int, int] | None = None
        """Where in the form the model's name stands, once it was found."""

    def feed(self, data: bytes) -> None:
        """Look at the next bytes; does nothing once the model was found.

        Raises:
            ProxyError: 400 `invalid_multipart`.
        """
        if self.model is not None:
            return
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        """Take one head, or one part's content, if it is here; return whether it was."""
        if self._in_head:
            return self._take_head()
        at = self._buffer.find(self._delimiter)
        if at < 0:
            self._keep_tail()
            return False
        if self._model_from is not None:
            self._take_model(self._buffer[self._model_from - self._buffer_at : at])
            return False
        self._drop(at + len(self._delimiter))
        self._in_head = True
        return True

    def _take_head(self) -> bool:
        if self._buffer.startswith(b"--"):
            return False  # the closing delimiter: nothing follows
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise invalid_form("a part's headers are too long")
            return False
        is_model = _MODEL_FIELD.search(self._buffer[:end].replace(b"\r\n", b"\n")) is not None
        # The blank line's last CRLF may be the first one of the next delimiter (an empty part).
        self._drop(end + 2)
        self._in_head = False
        if is_model:
            self._model_from = self._buffer_at + 2
        return True

    def _take_model(self, value: bytes) -> None:
        start = self._model_from or 0
        try:
            self.model = value.decode("utf-8")
        except UnicodeDecodeError:
            raise invalid_form("its model is not UTF-8") from None
        self.span = (start, start + len(value))
        self._buffer = b""

    def _keep_tail(self) -> None:
        """Drop what cannot be part of a delimiter; a model's value is kept, up to its limit."""
        if self._model_from is not None:
            if len(self._buffer) > _MAX_VALUE + len(self._delimiter):
                raise invalid_form("its model is too long")
            return
        excess = len(self._buffer) - len(self._delimiter) + 1
        if excess > 0:
            self._drop(excess)

    def _drop(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._buffer_at += count


def invalid_form(reason: str) -> ProxyError:
    """Return 400 `invalid_multipart`."""
    return ProxyError(400, f"The form cannot be read: {reason}.", code="invalid_multipart")
