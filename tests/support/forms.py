"""Forms as clients send them."""

BOUNDARY = "b0undary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, value: bytes | str, *, more: str = "", head: str = "") -> bytes:
    """Return one part; *more* follows the name, *head* is further lines."""
    data = value.encode() if isinstance(value, str) else value
    lines = f'Content-Disposition: form-data; name="{name}"{more}\r\n{head}\r\n'
    return f"--{BOUNDARY}\r\n{lines}".encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Return a whole form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
