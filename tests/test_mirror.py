"""Every module has the one test file that covers it, at the same place below tests/."""

from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    path.relative_to(ROOT / "jarvis_proxy").as_posix()
    for path in (ROOT / "jarvis_proxy").rglob("*.py")
    if path.name != "__init__.py"
)


@pytest.mark.parametrize("module", MODULES)
def test_the_module_has_its_test_file(module: str) -> None:
    expected = PurePosixPath("tests", module).with_name(f"test_{PurePosixPath(module).name}")

    assert (ROOT / expected).is_file(), f"{expected} is missing"
