"""The forms in which OpenAI-compatible upstreams send an error instead of an answer. Pure.

An object with any part of an answer is an answer, whatever else it holds. Of the others, these are
errors (read 2026-11):

- ``{"error": ...}``: OpenAI and most; an object, a text, or true with other fields around it;
- ``{"base_resp": {"status_code": ..., "status_msg": ...}}``: MiniMax;
- ``{"object": "error", ...}``, ``{"type": "error", ...}``: vLLM, FastChat, Anthropic;
- ``{"detail": ...}``: FastAPI; with ``title`` and ``status``: RFC 9457;
- ``{"errors": [...]}``: Cloudflare; ``{"fault": {"faultstring": ...}}``: Apigee;
- ``{"code": ..., "message": ...}``, ``msg``, ``error_msg``, ``status_code``: gateways.
"""

from typing import Final

import msgspec

from jarvis_proxy.upstreams.json_values import Fields, fields_of, items_of

_MESSAGES: Final = (
    "message",
    "msg",
    "detail",
    "details",
    "error_msg",
    "error_message",
    "errorMessage",
    "errmsg",
    "err_msg",
    "status_msg",
    "faultstring",
    "error_description",
    "description",
    "reason",
    "title",
    "Message",
)
_CODES: Final = (
    "code",
    "status_code",
    "statusCode",
    "error_code",
    "errorCode",
    "errcode",
    "err_code",
    "status",
    "Code",
)
# A field that only errors have is enough; a text called `message` could be anything.
_TELLING: Final = (
    "error_msg",
    "error_message",
    "errorMessage",
    "errmsg",
    "err_msg",
    "error_code",
    "errorCode",
    "errcode",
    "err_code",
)
_GOOD: Final = frozenset(
    {
        "",
        "completed",
        "in_progress",
        "none",
        "ok",
        "pending",
        "processing",
        "queued",
        "running",
        "succeeded",
        "success",
        "true",
    }
)
_PARTS: Final = ("choices", "output", "data", "results", "embedding")
_DEEPEST: Final = 4


class SpokenError(msgspec.Struct):
    """An error's fields, of any type, so that a wrong type hides none of the others.

    *status* is a second code if an upstream gives both.
    """

    message: object = None
    type: object = None
    param: object = None
    code: object = None
    status: object = None


def is_answer(fields: Fields) -> bool:
    """Return whether *fields* contain a part of an answer, which may be an empty text."""
    if fields.get("object") == "response":
        # A failed response contains its error in a form that clients know.
        return True
    return isinstance(fields.get("text"), str) or any(items_of(fields.get(n)) for n in _PARTS)


def find_error(fields: Fields) -> SpokenError | None:
    """Return the error in an object without a part of an answer, None if it has none."""
    if (error := _stated(fields)) is not None:
        return error
    is_error = "error" in (fields.get("object"), fields.get("type")) or _speaks_of_failure(fields)
    return _spoken(fields) if is_error else None


def read_error(fields: Fields) -> SpokenError:
    """Return an object as an error, if a status or an event's name says that it is one."""
    return _stated(fields) or _spoken(fields)


def _stated(fields: Fields) -> SpokenError | None:
    """Return the error that is in a field of its own."""
    for name in ("error", "Error", "errors"):
        if (error := _inner(fields.get(name), fields)) is not None:
            return error
    if (error := _minimax(fields_of(fields.get("base_resp")))) is not None:
        return error
    fault = fields_of(fields.get("fault"))
    return _spoken({**fields_of(fault.get("detail")), **fault}) if fault else None


def _inner(value: object, outer: Fields) -> SpokenError | None:
    """Return the error in *value*, the value of ``error`` in the fields *outer*."""
    for _ in range(_DEEPEST):
        if isinstance(value, list):
            value = value[0] if value else None
        inner = fields_of(value)
        if not (nested := inner.get("error")) or isinstance(nested, bool):
            break
        value = nested if _message(inner) is None else {**inner, "error": None}
    if isinstance(value, dict):
        return _spoken(value, outer) if value else None
    if isinstance(value, str):
        own = _spoken(outer)
        if value and own.message is not None and len(value) <= len(str(own.message)):
            # For example `"error": "Too Many Requests", "message": "..."`.
            return own
        return SpokenError(value, None, own.param, own.code, own.status) if value else None
    return _spoken(outer) if value else None


def _minimax(status: Fields) -> SpokenError | None:
    code = status.get("status_code")
    if code in (None, 0, "0"):
        return None
    return SpokenError(message=status.get("status_msg"), code=code)


def _speaks_of_failure(fields: Fields) -> bool:
    codes = [fields[name] for name in _CODES if name in fields]
    if any(map(_is_failure, codes)) and _message(fields) is not None:
        return True
    if fields.get("success") is False or fields.get("ok") is False:
        return True
    if any(fields.get(name) not in (None, *_GOOD, 0) for name in _TELLING):
        return True
    if fields.get("detail") not in (None, "", [], {}):
        return True
    # Require that no other field could make it something else.
    is_alone = fields.keys() <= {*_MESSAGES, *_CODES, "type", "param", "request_id", "requestId"}
    return is_alone and not codes and _message(fields) is not None


def _is_failure(code: object) -> bool:
    if isinstance(code, bool) or code is None:
        return False
    if isinstance(code, int | float):
        return code != 0 and not 200 <= code < 300
    if not isinstance(code, str) or code.lower() in _GOOD:
        return False
    is_number = code.isascii() and code.isdecimal()
    return not (is_number and (not code.strip("0") or (len(code) == 3 and code[0] == "2")))


def _spoken(fields: Fields, outer: Fields | None = None) -> SpokenError:
    codes, others = _codes(fields), [] if outer is None else _codes(outer)
    numbers = [code for code in (*codes, *others) if _is_status(code)]
    message = _message(fields)
    if message is None and outer is not None:
        message = _message(outer)
    return SpokenError(
        message=message,
        type=fields.get("type"),
        param=fields.get("param"),
        code=next(iter((*codes, *numbers, *others)), None),
        status=numbers[0] if numbers else None,
    )


def _codes(fields: Fields) -> list[object]:
    """Return possible codes; `status` is one only as a number, not as a word such as "error"."""
    found = [(name, fields[name]) for name in _CODES if fields.get(name) is not None]
    return [code for name, code in found if name != "status" or _is_status(code)]


def _is_status(code: object) -> bool:
    if isinstance(code, str):
        return len(code) == 3 and code.isdecimal() and code[0] in "45"
    return isinstance(code, int | float) and 400 <= code < 600


def _message(fields: Fields) -> object:
    """Return the first text in the fields for messages, including nested ones."""
    found: list[object] = [fields.get(name) for name in _MESSAGES]
    for _ in range(_DEEPEST):
        for value in found:
            if isinstance(value, str) and value:
                return value
        inner = [fields_of((items_of(value) or [value])[0]) for value in found]
        found = [one.get(name) for one in inner for name in (*_MESSAGES, "error")]
        if not any(found):
            break
    return None
