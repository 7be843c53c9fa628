"""The way into what is shared. redis-py is loaded here only, and only with REDIS_URL set. IO."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from jarvis_proxy.config.settings import SettingsError

if TYPE_CHECKING:
    from jarvis_proxy.redis_backend.state import SharedState


def check_redis(url: str, package: str = "redis") -> None:
    """Make sure that *package* is installed where REDIS_URL is set.

    Raises:
        SettingsError: with what to do.
    """
    if url and find_spec(package) is None:
        raise SettingsError(
            (
                "REDIS_URL needs the Python package redis, which is not installed:"
                " ./start.sh installs it when REDIS_URL is set",
            )
        )


def load_shared_state(url: str) -> "SharedState | None":
    """Return what is shared through the store at *url*, not yet connected; None for ``""``."""
    if not url:
        return None
    from jarvis_proxy.redis_backend.state import SharedState

    return SharedState(url)
