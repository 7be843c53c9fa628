"""JSON as the official SDKs read it, which is more than the standard allows. Pure.

Python's reads halves of surrogate pairs, ``NaN`` and ``Infinity``; Node's reads the halves too.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final, cast

import msgspec

from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.json_limits import exceeds_values

Fields = Mapping[str, object]
LARGE: Final = 1024 * 1024
"""Bytes of JSON that take little memory as objects, whatever they hold."""
_MOST_VALUES: Final = 3_000_000
"""More than any answer has: each takes up to fifty times its bytes."""
_RAW_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_swarm(data: bytes) -> bool:
    """Return whether *data* holds so many values that it must not be decoded."""
    return len(data) > LARGE and exceeds_values(data, _MOST_VALUES)


def loads(data: bytes) -> object:
    """Return the value of *data*.

    Raises:
        ValueError: no official SDK would read it either, or it is nested too deeply or too large.
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
    """Return *value* as JSON in ASCII: halves of surrogate pairs stay what they were."""
    return json.dumps(value, separators=(",", ":")).encode()


def fields_of(value: object) -> Fields:
    """Return *value* if it is an object, else one without fields."""
    return cast(Fields, value) if isinstance(value, dict) else {}


def items_of(value: object) -> list[object]:
    """Return *value* if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def edited(body: bytes, edit: Callable[[dict[str, msgspec.Raw]], bool]) -> bytes:
    """Return *body* after *edit* has changed its fields, if it has; else, or if unread, *body*.

    What *edit* leaves keeps its very bytes. It returns whether it has changed anything.
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
        return body  # the upstream says what is wrong with it
