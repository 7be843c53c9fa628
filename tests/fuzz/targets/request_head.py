"""The head of a request: model and stream, judged without decoding the rest.

Oracle: a body that is taken is JSON for Python's decoder too, and says the same model and stream,
so that nobody behind the proxy can read another model in it; with another model put in, every other
field is what it was; what is refused is a ProxyError of status 400.
"""

import json
from typing import Any, Final, NoReturn

from jarvis_proxy.wire.request_head import decode_head, wants_usage, with_model
from tests.fuzz.outcomes import attempt

TOKENS: Final = (
    b'"model":"a"', b'"model"', b'"stream":true', b'"stream":null', b'"stream_options"',
    b'"include_usage":true', b'"\\u006dodel":"b"', b"null", b"NaN", b"-Infinity", b"[" * 70,
    b"]" * 70, b"1" * 4301, b"\\ud800", b"\\", b'"', b"{", b"}", b",", b":", b"\x00", b"\xff",
    b"\xef\xbb\xbf", b" ", b"\t", b"1e400", b"-", b"0",
)  # fmt: skip
_DEPTH: Final = 64


def check(data: bytes) -> None:
    """Judge the body and compare."""
    wants_usage(data)
    head, error = attempt(lambda: decode_head(data, _DEPTH))
    if error is not None:
        assert error.status == 400
        json.loads(error.body())
        return
    assert head is not None
    fields = _strict(data)
    assert isinstance(fields, dict)
    assert _whole(fields.get("model")) == head.model
    assert fields.get("stream") == head.stream
    assert _strict(with_model(data, "m")) == {**fields, "model": "m"}


def _whole(text: Any) -> Any:
    """Return a name with U+FFFD for each half of a surrogate pair."""
    if not isinstance(text, str):
        return text
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def _strict(data: bytes) -> Any:
    return json.loads(data, parse_constant=_refuse, parse_float=str, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    assert names.count("model") < 2 or "model" not in dict(pairs)
    return dict(pairs)


def _refuse(name: str) -> NoReturn:
    raise AssertionError(f"{name} was taken for JSON")
