"""The budget of work for translating one request. Pure.

A small request can cause much work, for example by repeating a definition everywhere. Each step of
a translation is counted, and a request beyond the budget is rejected. So the cost of a request
grows with its size, and has an upper bound.
"""

from typing import Final

from jarvis_proxy.errors import ProxyError

BASE_STEPS: Final = 25_000
"""Steps that every request may take, however small it is."""

MAX_STEPS: Final = 1_000_000
"""Most steps of any request. One step takes about 2 µs."""

_BYTES_PER_STEP: Final = 4
"""Ordinary schemas take about one step for 5 bytes."""
_CHARACTERS_PER_STEP: Final = 64


class WorkBudget:
    """Counts the steps of one translation.

    A step is one JSON value read or copied. All parts of a request share one object.
    """

    __slots__ = ("_limit", "steps")

    def __init__(self, limit: int = MAX_STEPS) -> None:
        self._limit = limit
        self.steps = 0
        """Steps taken so far."""

    @classmethod
    def for_body(cls, size: int) -> "WorkBudget":
        """Return the budget of a request whose body has *size* bytes."""
        return cls(min(BASE_STEPS + size // _BYTES_PER_STEP, MAX_STEPS))

    def spend(self, steps: int = 1, *, param: str | None = None) -> None:
        """Count *steps* before they are taken.

        Raises:
            ProxyError: 400 `request_too_complex` with *param*, the budget is spent.
        """
        self.steps += steps
        if self.steps > self._limit:
            raise too_complex(param)

    def spend_text(self, length: int, *, param: str | None = None) -> None:
        """Count a copied text of *length* characters: one step per 64 characters.

        Raises:
            ProxyError: 400 `request_too_complex` with *param*, the budget is spent.
        """
        self.spend(length // _CHARACTERS_PER_STEP, param=param)


def too_complex(param: str | None = None) -> ProxyError:
    """Return the 400 for a request that takes too much work to translate."""
    where = f" '{param}'" if param else ""
    return ProxyError(
        400,
        f"This request takes too much work to translate{where}. Send fewer or simpler tools, "
        "schemas and messages; in schemas, reference a definition instead of merging it with "
        "'allOf' in many places.",
        code="request_too_complex",
        param=param,
        should_retry=False,
    )
