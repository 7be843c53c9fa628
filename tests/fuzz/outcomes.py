"""What came of a call that may raise one kind of error only. Pure."""

from collections.abc import Callable
from typing import TypeVar

from jarvis_proxy.errors import ProxyError

T = TypeVar("T")


def attempt(act: Callable[[], T]) -> tuple[T | None, ProxyError | None]:
    """Return what *act* gives, or the ProxyError that it raises; any other error passes."""
    try:
        return act(), None
    except ProxyError as error:
        return None, error
