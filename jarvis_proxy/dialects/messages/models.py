"""The list of models in the Messages API's form, and the names that only its clients use. Pure.

Source: https://docs.claude.com/en/api/models-list (read 2026-11). Claude Code shows only models
with ``claude`` in their names, so this list also gives each model such a name.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

_CLAUDE: Final = "claude"
_PREFIX: Final = "claude-"
_LONG_CONTEXT: Final = "[1m]"
_UNKNOWN: Final = "1970-01-01T00:00:00Z"


class _Model(msgspec.Struct, kw_only=True):
    type: str = "model"
    id: str
    display_name: str
    created_at: str
    lifecycle: str = "active"


def model_list(models: Iterable[tuple[str, int]]) -> bytes:
    """Return *models*, pairs of an id and its creation time in epoch seconds (0: unknown).

    All are on one page, so ``limit``, ``after_id`` and ``before_id`` are ignored.
    """
    found: dict[str, _Model] = {}
    for name, created in models:
        for shown in (name, shown_name(name)):
            found.setdefault(shown, _model(shown, created))
    names: list[str | None] = [*found] or [None]
    page = {"data": list(found.values()), "has_more": False}
    return msgspec.json.encode({**page, "first_id": names[0], "last_id": names[-1]})


def model_object(name: str, created: int) -> bytes:
    """Return one model."""
    return msgspec.json.encode(_model(name, created))


def shown_name(name: str) -> str:
    """Return the name under which clients show a model that is not Anthropic's."""
    return name if _CLAUDE in name else _PREFIX + name


def known_name(
    name: str, is_known: Callable[[str], bool], is_named: Callable[[str], bool] | None = None
) -> str:
    """Return the known model that *name* is a form of, otherwise *name*.

    Forms are ``claude-NAME``, and a trailing ``[1m]``. A name that does end with ``[1m]`` is known
    only if *is_named*: a family's prefix (`gemini-`) would claim it with any ending.
    """
    bare = name.removesuffix(_LONG_CONTEXT)
    forms = (name, bare, name.removeprefix(_PREFIX), bare.removeprefix(_PREFIX))

    def knows(form: str) -> bool:
        is_long = form.endswith(_LONG_CONTEXT)
        return bool(form) and (is_named if is_named and is_long else is_known)(form)

    return next(filter(knows, forms), name)


def _model(name: str, created: int) -> _Model:
    return _Model(id=name, display_name=name, created_at=_date(created))


def _date(created: int) -> str:
    """Return epoch seconds as RFC 3339."""
    try:
        return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return _UNKNOWN
