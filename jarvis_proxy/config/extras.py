"""Checks that the optional packages which settings need are installed. IO (looks for modules)."""

from collections.abc import Iterable
from importlib.util import find_spec

from jarvis_proxy.config.addresses import is_socks
from jarvis_proxy.config.proxies import OutboundProxy
from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.config.telemetry import ENDPOINT


def check_extras(settings: Settings) -> None:
    """Check that the packages that *settings* need are installed.

    Raises:
        SettingsError: a package is missing; the message says how to install it.
    """
    check_redis(settings.redis_url)
    check_socks(upstream.proxy for upstream in settings.upstreams)
    check_otel(settings.otlp_endpoint)


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


def check_otel(url: str, module: str = "opentelemetry.exporter.otlp.proto.http") -> None:
    """Check for OpenTelemetry's exporter, *module*, if traces are to be sent to *url*.

    Raises:
        SettingsError: it is not installed.
    """
    if url:
        package = "opentelemetry-exporter-otlp-proto-http"
        _check(ENDPOINT, package, module, extra="otel")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # The package that contains the module is missing too.
        return False


def _check(setting: str, package: str, module: str, *, extra: str) -> None:
    if not _is_installed(module):
        raise SettingsError(
            (
                f"{setting} needs the Python package {package}, which is not installed:"
                f" ./start.sh installs it; elsewhere: pip install 'jarvis-proxy[{extra}]'",
            )
        )
