"""Parses JSON like the official SDKs, which accept more than the standard allows. Pure.

Python's SDK accepts lone surrogates, ``NaN`` and ``Infinity``; Node's accepts lone surrogates.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final, cast

import msgspec

from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.json_limits import exceeds_values

Fields = Mapping[str, object]
LARGE: Final = 1024 * 1024
"""Bytes of JSON whose decoded form takes little memory, whatever its content."""
_MAX_VALUES: Final = 3_000_000
"""More values than any answer has: each takes up to fifty times its size."""
_RAW_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_swarm(data: bytes) -> bool:
    """Return whether *data* has too many values to be decoded."""
    return len(data) > LARGE and exceeds_values(data, _MAX_VALUES)


def loads(data: bytes) -> object:
    """Return the value of *data*.

    Raises:
        ValueError: no official SDK would parse it either, or it is nested too deeply or too large.
    """
    if is_swarm(data):
        raise ValueError("these are too many values")
    try:
        return cast(object, msgspec.json.decode(data))
    except (ValueError, RecursionError):
        pass
    try:
        return cast(object, json.loads(data.decode("utf-8-sig")))
    except (ValueError, RecursionError):
        raise ValueError("this is no JSON") from None


def dumps(value: object) -> bytes:
    """Return *value* as ASCII JSON, which keeps lone surrogates."""
    return json.dumps(value, separators=(",", ":")).encode()


def fields_of(value: object) -> Fields:
    """Return *value* if it is an object, otherwise an empty one."""
    return cast(Fields, value) if isinstance(value, dict) else {}


def items_of(value: object) -> list[object]:
    """Return *value* if it is a list, otherwise an empty one."""
    return value if isinstance(value, list) else []


def edited(body: bytes, edit: Callable[[dict[str, msgspec.Raw]], bool]) -> bytes:
    """Return *body* with its fields changed by *edit*; *body* itself if nothing changed.

    Unchanged fields keep their bytes. *edit* returns whether it changed anything. Invalid JSON is
    returned unchanged.
    """
    try:
        try:
            fields = _RAW_FIELDS.decode(body)
            return msgspec.json.encode(fields) if edit(fields) else body
        except msgspec.ValidationError:
            return body
        except msgspec.DecodeError:
            hidden = surrogates.MaskedSurrogates(body)
        fields = _RAW_FIELDS.decode(hidden.body)
        return hidden.restore(msgspec.json.encode(fields)) if edit(fields) else body
    except (ValueError, RecursionError):
        # The upstream reports what is wrong with it.
        return body
