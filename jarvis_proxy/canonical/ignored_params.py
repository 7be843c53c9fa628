"""Collects what a translation had to leave out, for the header ``x-jarvis-ignored``. Pure."""

import re
from typing import Final

from jarvis_proxy.canonical.validation_errors import invalid

_UNPRINTABLE: Final = re.compile(r"[^A-Za-z0-9_.\[\]-]")
_MAX_NAMES: Final = 40
"""A name takes up to 64 characters, so the header stays below 4 KiB."""
_MAX_NAME: Final = 64


class IgnoredParams:
    """Names of params without an equivalent, in order of occurrence, without duplicates.

    In *strict* mode the first such param is rejected instead.
    """

    __slots__ = ("_names", "_strict")

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._names: dict[str, None] = {}

    def add_or_reject(self, name: str) -> None:
        """Note a param, or a part of a message, that is left out or changed.

        Raises:
            ProxyError: 400 `unsupported_parameter` in strict mode.
        """
        if self._strict:
            message = f"Unsupported parameter: '{name}' has no equivalent with this model."
            raise invalid(name, message, "unsupported_parameter")
        self.add(name)

    def add(self, name: str) -> None:
        """Note a change that the upstream, not the request, caused; it is never an error."""
        if len(self._names) < _MAX_NAMES:
            self._names[_UNPRINTABLE.sub("_", name[:_MAX_NAME])] = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names in printable ASCII, without duplicates."""
        return tuple(self._names)
