"""Fixtures: one chromium for all tests of this folder, for it takes long to start."""

from collections.abc import Iterator

import pytest

from tests.browser.driver import chromium, missing


@pytest.fixture(scope="session", autouse=True)
def started() -> Iterator[None]:
    """Keep chromium running, where there is one."""
    if missing():
        yield
        return
    with chromium():
        yield
