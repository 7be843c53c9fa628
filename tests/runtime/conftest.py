"""Fixtures: a stage for a supervisor and its workers."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "stage")
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.raiseExceptions)
    yield made
    root.handlers[:], root.level, logging.raiseExceptions = before
