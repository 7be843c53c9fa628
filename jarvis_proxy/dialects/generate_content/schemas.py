"""Converts Google's Schema to JSON Schema. Pure.

Google's Schema is OpenAPI's: upper-case types, ``nullable``, 64-bit numbers as strings.

Source: https://ai.google.dev/api/caching#Schema (read 2026-11).
"""

from math import isfinite
from typing import Any, Final

from jarvis_proxy.canonical.json_values import MAX_DEPTH, within_depth
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.dialects.generate_content.types import JsonObject, camel

_TYPES: Final = ("string", "number", "integer", "boolean", "array", "object", "null")
_COUNTS: Final = frozenset(
    ("maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties")
)
_BOUNDS: Final = frozenset(("maximum", "minimum"))
_DROPPED: Final = frozenset(("example", "nullable", "propertyOrdering"))
_ONE: Final = frozenset(("items", "additionalProperties", "not"))
_LISTS: Final = frozenset(("anyOf", "allOf", "oneOf", "prefixItems"))
_MAPS: Final = frozenset(("properties", "patternProperties", "defs", "$defs", "definitions"))
_RENAMED: Final = {"defs": "$defs", "ref": "$ref"}
_DEFS: Final = "#/defs/"


def from_google(value: object, path: str) -> Any:
    """Return Google's Schema as JSON Schema.

    Raises:
        ProxyError: 400, the schema nests too deeply.
    """
    _check_depth(value, path)
    return _convert(value)


def with_small_types(value: object, path: str) -> Any:
    """Return a JSON Schema with upper-case types converted to lower case.

    Raises:
        ProxyError: 400, the schema nests too deeply.
    """
    _check_depth(value, path)
    return _small(value)


def _check_depth(value: object, path: str) -> None:
    if not within_depth(value):
        raise invalid(path, f"Invalid '{path}': nested deeper than {MAX_DEPTH} levels.")


def _convert(value: object) -> Any:
    if not isinstance(value, dict):
        return value
    fields = {camel(name): item for name, item in value.items()}
    schema: JsonObject = {}
    for name, item in fields.items():
        if item is not None and name not in _DROPPED:
            schema[_RENAMED.get(name, name)] = _field(name, item)
    schema = {name: item for name, item in schema.items() if item is not None}
    return _nullable(schema) if fields.get("nullable") is True else schema


def _field(name: str, item: object) -> Any:
    """Return the value of one keyword, None if it has no meaning in JSON Schema."""
    if name == "type":
        return _type(item)
    if name == "format":
        return None if item == "enum" else item
    if name in _COUNTS:
        return int(item) if isinstance(item, str) and item.isdecimal() else item
    if name in _BOUNDS and isinstance(item, str):
        return _number(item)
    if name in ("ref", "$ref") and isinstance(item, str) and item.startswith(_DEFS):
        return f"#/$defs/{item[len(_DEFS) :]}"
    return _inside(name, item, _convert)


def _number(text: str) -> object:
    """Return the number in *text*; *text* itself if it is none, or has none in JSON."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not isfinite(number):
        return text
    return int(number) if number.is_integer() else number


def _inside(name: str, item: object, convert: Any) -> Any:
    if name in _ONE:
        return convert(item)
    if name in _LISTS and isinstance(item, list):
        return [convert(inner) for inner in item]
    if name in _MAPS and isinstance(item, dict):
        return {key: convert(inner) for key, inner in item.items()}
    return item


def _type(item: object) -> Any:
    if isinstance(item, list):
        return [_type(inner) for inner in item]
    if not isinstance(item, str):
        return item
    small = item.lower()
    return None if small == "type_unspecified" else small if small in _TYPES else item


def _nullable(schema: JsonObject) -> JsonObject:
    """Return the schema changed so that it also allows null."""
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema


def _small(value: object) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: _type(item) if name == "type" else _inside(name, item, _small)
        for name, item in value.items()
    }
