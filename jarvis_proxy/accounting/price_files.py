"""Reads the price tables: the one that comes with the proxy, and PRICES_FILE. Does file IO."""

from pathlib import Path
from typing import Final

from jarvis_proxy.accounting.prices import PriceError, Prices
from jarvis_proxy.config.settings import Settings, SettingsError

_TABLE: Final = Path(__file__).with_name("prices.json")


def load_prices(settings: Settings) -> Prices:
    """Return the prices of the upstreams of *settings*.

    Raises:
        SettingsError: PRICES_FILE cannot be read, or is not of its form.
    """
    own: bytes | None = None
    if settings.prices_file:
        try:
            own = Path(settings.prices_file).read_bytes()
        except OSError:
            raise SettingsError(
                ("PRICES_FILE: must name a file that the server may read.",)
            ) from None
    upstreams = [(upstream.name, upstream.base_url) for upstream in settings.upstreams]
    try:
        return Prices(_TABLE.read_bytes(), upstreams, own)
    except PriceError as exc:
        form = '{"models": {"openai/gpt-4.1-mini": {"input": 0.4, "cached": 0.1, "output": 1.6}}}'
        raise SettingsError(
            (f"PRICES_FILE: must be JSON with US dollars a million tokens, as in {form}: {exc}.",)
        ) from None
