"""Fixtures: the proxy, started as in production, and scripted upstreams."""

import contextlib
import gc
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.logging import ThreadedLineWriter, configure_logging
from jarvis_proxy.runtime.listeners import BACKLOG
from jarvis_proxy.server.app import create_app, make_runner
from jarvis_proxy.server.context import APP_CONTEXT, AppContext
from jarvis_proxy.server.handlers.dashboard import DASHBOARD_FEED
from jarvis_proxy.server.handlers.dashboard_feed import DashboardFeed
from tests.support.programs import REQUIRE_PROGRAMS, is_program_missing
from tests.support.raw_upstream import RawUpstream, Script
from tests.support.slow_modules import is_slow_module

# How long an example takes depends on the machine's other work.
hypothesis_settings.register_profile(
    "tests", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile(
    "fast", hypothesis_settings.get_profile("tests"), max_examples=20
)
hypothesis_settings.load_profile("tests")

MEASURED_CASES = 8
"""How many cases of a parametrized test coverage watches: the others run the same lines.

Of a test with the mark ``every_case`` it watches all.
"""
FAST = "not slow"
"""The -m option that chooses the fast tests."""

KEY = "test-key-0123456789abcdef"
BEARER = {"Authorization": f"Bearer {KEY}"}
OPENAI_KEY = "sk-upstream-canary-0123456789"
GEMINI_KEY = "AIza-upstream-canary-0123456789"


@dataclass
class Proxy:
    """A running proxy: its port, what it shares, and its log."""

    port: int
    context: AppContext
    log: io.StringIO
    writer: ThreadedLineWriter
    board: DashboardFeed

    @property
    def url(self) -> str:
        """The address that clients use."""
        return f"http://127.0.0.1:{self.port}"

    def logged(self) -> str:
        """Return what was logged so far; the log is closed by this."""
        self.writer.close()
        return self.log.getvalue()


def pytest_configure(config: pytest.Config) -> None:
    """Try fewer examples of each property in the fast tests."""
    if config.option.markexpr == FAST:
        hypothesis_settings.load_profile("fast")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import modules of slow tests for the fast ones: importing takes longer than these."""
    if config.option.markexpr != FAST or not collection_path.match("test_*.py"):
        return None
    return is_slow_module(collection_path) or None


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a program that is not here; what starts one takes its time.

    Coverage doubles the time of a test, so it watches the first cases only.
    """
    from tests.support.redis_server import PROGRAM

    no_redis = pytest.mark.skip(reason="redis-server is not installed, nor is valkey-server")
    cases: Counter[tuple[Path, str]] = Counter()
    for item in items:
        if item.get_closest_marker("redis") and PROGRAM is None:
            item.add_marker(no_redis)
        programs = any(item.get_closest_marker(name) for name in ("redis", "node", "browser"))
        if programs or is_slow_module(item.path):
            item.add_marker(pytest.mark.slow)
        case = (item.path, item.name.partition("[")[0])
        cases[case] += 1
        if cases[case] > MEASURED_CASES and not item.get_closest_marker("every_case"):
            item.add_marker(pytest.mark.no_cover)


def pytest_collection_finish() -> None:
    """Take the tests themselves out of the garbage collector's rounds: they are a million objects.

    Without this, it takes a third of the time of small tests.
    """
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a failure of what skips for lack of a program, where all are to be there."""
    report = yield
    if REQUIRE_PROGRAMS and report.skipped and is_program_missing(str(report.longrepr)):
        report.outcome, report.longrepr = "failed", str(report.longrepr)
    return report


ProxyFactory = Callable[..., AbstractAsyncContextManager[Proxy]]


@contextlib.asynccontextmanager
async def running_proxy(
    openai: str = "http://127.0.0.1:9/v1", gemini: str = "http://127.0.0.1:9/v1beta", **env: str
) -> AsyncIterator[Proxy]:
    """Start a proxy on a free port; *env* are further settings."""
    settings = Settings.from_env(
        {
            "PROXY_API_KEYS": f"tester:{KEY}",
            "HOST": "127.0.0.1",
            "OPENAI_API_KEY": OPENAI_KEY,
            "OPENAI_BASE_URL": openai,
            "GEMINI_API_KEY": GEMINI_KEY,
            "GEMINI_BASE_URL": gemini,
            "LOG_LEVEL": "debug",
            "STATE_DIR": "",
            **env,
        }
    )
    stream = io.StringIO()
    writer, log = configure_logging(settings.log_format, settings.log_level, stream)
    app = create_app(settings, log)
    runner = make_runner(app, settings)
    await runner.setup()
    # As in production. Where a short queue overflows, a connection waits for a minute.
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG)
    await site.start()
    try:
        yield Proxy(runner.addresses[0][1], app[APP_CONTEXT], stream, writer, app[DASHBOARD_FEED])
    finally:
        await runner.cleanup()
        writer.close()


@pytest.fixture
def proxy() -> ProxyFactory:
    """Return the factory of proxies."""
    return running_proxy


@pytest.fixture
def upstream() -> Callable[[Script], AbstractAsyncContextManager[RawUpstream]]:
    """Return the factory of scripted upstreams."""
    return lambda script: RawUpstream(script).running()
