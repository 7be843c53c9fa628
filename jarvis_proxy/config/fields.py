"""Declares settings as dataclass fields. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from enum import StrEnum
from typing import Any

from jarvis_proxy.config.parsers import EnvReader


class SettingsSection(StrEnum):
    """The headings of the settings' documentation, in order."""

    FIRST = "Keys to start with"
    LISTENING = "Listening"
    UPSTREAMS = "Upstreams"
    MODELS = "Models"
    REQUESTS = "Requests and answers"
    LOG = "Log"
    NUMBERS = "Usage, metrics, dashboard"
    TIMEOUTS = "Timeouts"
    LIMITS = "Limits"
    KEYS = "Single client keys"
    PROCESSES = "Several processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the documentation: *default* is the text that sets it, *text* is Markdown."""

    name: str
    section: SettingsSection
    default: str = ""
    unit: str = ""
    text: str


def setting(
    name: str,
    *,
    section: SettingsSection,
    text: str,
    default: str = "",
    unit: str = "",
    parser: Callable[[str], object] | None = None,
    value: object = None,
    repr: bool = True,  # noqa: A002 - as in dataclasses.field
) -> Any:
    """Return a dataclass field that the setting *name* fills.

    *parser* converts a text, such as *default*, to the field's value. Without a parser,
    ``from_env`` fills the field itself. *value* is the field's default if there is no parser or no
    default text.
    """
    described = Setting(name=name, section=section, default=default, unit=unit, text=text)
    metadata = {"settings": (described,), "parser": parser}
    if parser is not None and default:
        value = parser(default)
    if isinstance(value, Mapping):
        return field(default_factory=lambda: value, metadata=metadata, repr=repr)
    return field(default=value, metadata=metadata, repr=repr)


def parse_fields(cls: type[Any], reader: EnvReader, name: str = "") -> dict[str, Any]:
    """Return a value, by field name, for each field of *cls* whose metadata has a parser.

    *name* replaces ``<NAME>`` in the settings' names.
    """
    return {
        spec.name: reader.read(
            _names(spec)[0].name.replace("<NAME>", name), spec.metadata["parser"], spec.default
        )
        for spec in fields(cls)
        if spec.metadata.get("parser") is not None
    }


def list_settings(cls: type[Any]) -> tuple[Setting, ...]:
    """Return the settings that fill the fields of *cls*, in order."""
    return tuple(found for spec in fields(cls) for found in _names(spec))


def _names(spec: Field[Any]) -> tuple[Setting, ...]:
    return tuple(spec.metadata.get("settings", ()))
