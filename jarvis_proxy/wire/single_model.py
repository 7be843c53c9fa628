"""Requests of keys that may use certain models only: each must name one model. Pure.

Upstreams differ in how they find a model's name: decoders in Go ignore case, some use the first and
some the last of two equal names, and routers accept lists of fallback models. So a second name, in
any spelling, is rejected, and the forwarded body holds only the name that was checked.

Sources: https://openrouter.ai/docs/api-reference/parameters,
https://docs.litellm.ai/docs/proxy/reliability (read 2026-11).
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.request_head import with_field
from jarvis_proxy.wire.text import printable

MODEL: Final = "model"
_OTHER_MODELS: Final = frozenset(
    {
        "contentpolicyfallbacks",
        "contextwindowfallbackdict",
        "contextwindowfallbacks",
        "defaultfallbacks",
        "deployment",
        "deploymentid",
        "engine",
        "fallback",
        "fallbackmodel",
        "fallbackmodels",
        "fallbacks",
        MODEL,
        "modelid",
        "modellist",
        "modelname",
        "models",
        "preset",
        "route",
        "userconfig",
    }
)
"""Fields by which some upstream selects a model, in lower case without punctuation."""
_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]+")
_MAX_NAME: Final = 64
_MAX_FIELDS: Final = 1000
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Tool(msgspec.Struct):
    model: str | None = None


_TOOLS: Final = msgspec.json.Decoder(list[_Tool])


def only_model(body: bytes, model: str | None) -> tuple[bytes, tuple[str, ...]]:
    """Return *body*, a JSON object, with *model* as its only model, and the models in its tools.

    If *model* is None, which means the upstream's own default, the body gets no model.

    Raises:
        ProxyError: 400 `unsupported_parameter`, another field may name a model; `invalid_json`,
            a field occurs twice, or there are too many to check.
    """
    plain = surrogates.replace_lone_surrogates(body)
    fields = _FIELDS.decode(plain)
    if len(fields) > _MAX_FIELDS:
        raise _invalid("has too many fields")
    if _quotes(fields) != plain.count(b'"'):
        raise _invalid("names a field twice")
    check_names(name for name in fields if name != MODEL)
    for name in fields:
        if _folded(name) == "extrabody":
            check_names(_names_in(fields[name]))
    if model is not None:
        # Encode it again, so that only one spelling of the name is left.
        body = with_field(body, MODEL, msgspec.json.encode(model))
    return body, _models_of_tools(fields.get("tools"))


def check_names(names: Iterable[str]) -> None:
    """Reject a field that some upstream might use as a model's name.

    Raises:
        ProxyError: 400 `unsupported_parameter`.
    """
    for name in names:
        if _folded(name) in _OTHER_MODELS:
            shown = printable(name)
            raise ProxyError(
                400,
                f"This key may use certain models only, so '{shown}' is not allowed. Name the "
                "model once, as 'model' in the body.",
                code="unsupported_parameter",
                param=shown,
                should_retry=False,
            )


def check_query(query: str) -> None:
    """Reject a raw query with a field that may name a model. Raises as ``check_names`` does."""
    if query:
        parts = re.split("[&;]", query)
        check_names(unquote_plus(part.partition("=")[0]) for part in parts)


def _folded(name: str) -> str:
    """Return *name* as the most lenient upstream may read it."""
    # Longer names have no meaning anywhere, and normalising megabytes takes long.
    text = unicodedata.normalize("NFKC", name[:_MAX_NAME]).casefold()
    return _NOT_ALPHANUMERIC.sub("", text)


def _quotes(fields: dict[str, msgspec.Raw]) -> int:
    """Return how many quotation marks the JSON of *fields* has if each name occurs once.

    Counting them costs a fraction of checking each name.

    Raises:
        ProxyError: 400 `invalid_json`, a name contains a quotation mark: written as an escape,
            it could hide a missing one.
    """
    if any('"' in name for name in fields):
        raise _invalid("has a quotation mark in a field's name")
    return 2 * len(fields) + sum(bytes(value).count(b'"') for value in fields.values())


def _invalid(fault: str) -> ProxyError:
    return ProxyError(
        400,
        f"The request {fault}, which is not allowed for a key that may use certain models only.",
        code="invalid_json",
        should_retry=False,
    )


def _names_in(value: msgspec.Raw) -> Iterable[str]:
    try:
        return tuple(_FIELDS.decode(value))
    except (ValueError, RecursionError):
        return ()


def _models_of_tools(tools: msgspec.Raw | None) -> tuple[str, ...]:
    try:
        found = [] if tools is None else _TOOLS.decode(tools)
    except (ValueError, RecursionError):
        return ()
    return tuple(tool.model for tool in found if tool.model)
