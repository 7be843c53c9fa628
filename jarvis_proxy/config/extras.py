"""Optional packages: settings that need one say so where it is missing. IO (looks for modules)."""

from collections.abc import Iterable
from importlib.util import find_spec

from jarvis_proxy.config.addresses import is_socks
from jarvis_proxy.config.proxies import OutboundProxy
from jarvis_proxy.config.settings import Settings, SettingsError


def check_extras(settings: Settings) -> None:
    """Check that the packages are installed that *settings* need.

    Raises:
        SettingsError: one is not; the message says how to install it.
    """
    check_redis(settings.redis_url)
    check_socks(upstream.proxy for upstream in settings.upstreams)


def check_redis(url: str, module: str = "redis") -> None:
    """Check for redis-py, *module*, if REDIS_URL is set.

    Raises:
        SettingsError: it is not installed.
    """
    if url:
        _check("REDIS_URL", "redis", module, extra="redis")


def check_socks(proxies: Iterable[OutboundProxy | None], module: str = "aiohttp_socks") -> None:
    """Check for aiohttp-socks, *module*, if one of *proxies* is a SOCKS proxy.

    Raises:
        SettingsError: it is not installed.
    """
    for proxy in proxies:
        if proxy is not None and is_socks(proxy.url):
            _check(proxy.setting, "aiohttp-socks", module, extra="socks")


def _check(setting: str, package: str, module: str, *, extra: str) -> None:
    if find_spec(module) is None:
        raise SettingsError(
            (
                f"{setting} needs the Python package {package}, which is not installed:"
                f" ./start.sh installs it; elsewhere: pip install 'jarvis-proxy[{extra}]'",
            )
        )
