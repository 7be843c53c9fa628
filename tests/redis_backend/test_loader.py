"""The way into what is shared: nothing without REDIS_URL, and a clear word without the package."""

import subprocess
import sys
from pathlib import Path

import pytest

from jarvis_proxy.config.settings import SettingsError
from jarvis_proxy.redis_backend.loader import check_redis, load_shared_state
from jarvis_proxy.redis_backend.state import SharedState

ROOT = Path(__file__).resolve().parents[2]
URL = "redis://127.0.0.1:1/0"


def test_nothing_is_opened_without_an_address() -> None:
    assert load_shared_state("") is None


async def test_what_is_shared_is_opened_by_its_address() -> None:
    assert isinstance(load_shared_state(URL), SharedState)


def test_an_address_without_the_package_says_what_to_do() -> None:
    with pytest.raises(SettingsError) as caught:
        check_redis(URL, "no_such_package_as_this")

    assert caught.value.problems == (
        "REDIS_URL needs the Python package redis, which is not installed:"
        " ./start.sh installs it when REDIS_URL is set",
    )


@pytest.mark.parametrize(("url", "package"), [("", "no_such_package_as_this"), (URL, "redis")])
def test_all_is_well_without_an_address_or_with_the_package(url: str, package: str) -> None:
    check_redis(url, package)


@pytest.mark.slow
def test_a_server_without_an_address_does_not_load_the_package() -> None:
    code = (
        "import sys, jarvis_proxy.cli, jarvis_proxy.runtime.serve;"
        " print([name for name in sys.modules if name.partition('.')[0] == 'redis'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout == "[]\n"
