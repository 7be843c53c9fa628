"""How a dataclass field tells which setting fills it; and the limits, such a class. Pure."""

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final

from jarvis_proxy import settings_parse as parse
from jarvis_proxy.settings_parse import MEBIBYTE, Reader


@dataclass(frozen=True, slots=True)
class Setting:
    """What a user is told about one setting; *default* is the text that would set it."""

    name: str
    default: str
    unit: str
    description: str


def set_by(
    name: str,
    default: str,
    unit: str,
    description: str,
    parser: Callable[[str], object] | None = None,
) -> dict[str, object]:
    """Return a field's metadata; without a *parser* the field is filled by ``from_env`` itself."""
    return {"settings": (Setting(name, default, unit, description),), "parser": parser}


def parsed(cls: type[Any], reader: Reader, name: str = "") -> dict[str, Any]:
    """Return a value for each field of *cls* whose metadata has a parser, by field name.

    *name* is put in place of ``<NAME>`` in the settings' names.
    """
    return {
        spec.name: reader.read(
            _names(spec)[0].name.replace("<NAME>", name), spec.metadata["parser"], spec.default
        )
        for spec in fields(cls)
        if spec.metadata.get("parser") is not None
    }


def described(cls: type[Any]) -> tuple[Setting, ...]:
    """Return the settings that fill the fields of *cls*, in their order."""
    return tuple(setting for spec in fields(cls) for setting in _names(spec))


def _names(spec: Field[Any]) -> tuple[Setting, ...]:
    return tuple(spec.metadata.get("settings", ()))


_COUNT: Final = parse.whole(1, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the server takes on at once; past a limit it says so, it never queues.

    The defaults are what one process bears, at some 30 KiB a stream: they keep the server alive
    under attack. What is fair between keys or addresses only its operator knows.
    """

    max_streams: int = field(
        default=8192,
        metadata=set_by(
            "MAX_STREAMS",
            "8192",
            "",
            "Requests in progress at the same time; more get 503.",
            _COUNT,
        ),
    )
    max_streams_per_key: int = field(
        default=8192,
        metadata=set_by(
            "MAX_STREAMS_PER_KEY", "8192", "", "The same for one client key; more get 429.", _COUNT
        ),
    )
    max_connections: int = field(
        default=8192,
        metadata=set_by(
            "MAX_CONNECTIONS", "8192", "", "Open client connections; more are closed.", _COUNT
        ),
    )
    max_connections_per_ip: int = field(
        default=1024,
        metadata=set_by(
            "MAX_CONNECTIONS_PER_IP", "1024", "", "The same for one client address.", _COUNT
        ),
    )
    max_bytes_in_flight: int = field(
        default=256 * MEBIBYTE,
        metadata=set_by(
            "MAX_INFLIGHT_MB",
            "256",
            "MB",
            "Memory for all calls together: bodies, what is translated or downloaded, "
            "answers in part; more get 503.",
            parse.mebibytes(1, 1_048_576),
        ),
    )
    json_depth: int = field(
        default=64,
        metadata=set_by(
            "MAX_JSON_DEPTH",
            "64",
            "levels",
            "How deep JSON in a request may nest; deeper gets 400.",
            parse.whole(4, 512),
        ),
    )
