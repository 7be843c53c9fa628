"""Whether every branch of the pure core was taken: ``python -m tests.core_coverage``.

Reads what ``./start.sh test --cov`` has left. The core is what the import contract names that
forbids IO to it.
"""

import sys
import tomllib
from pathlib import Path
from typing import Final

from coverage import Coverage

ENOUGH: Final = 99.9
"""Percent. All is tested, but for a branch or two it is chance which examples are tried."""
ROOT: Final = Path(__file__).resolve().parent.parent


def core() -> list[str]:
    """Return the core as patterns for coverage: files, and folders with what is in them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (pure,) = (contract for contract in contracts if "does no IO" in contract["name"])
    paths = [ROOT / module.replace(".", "/") for module in pure["source_modules"]]
    return [f"{path}/*" if path.is_dir() else f"{path}.py" for path in paths]


def main() -> int:
    """Print what is missing; return 1 if it is too much, 2 where nothing was measured."""
    measured = Coverage(data_file=str(ROOT / ".coverage"))
    measured.load()
    if not measured.get_data().measured_files():
        print("Nothing was measured: run ./start.sh test --cov first.", file=sys.stderr)
        return 2
    percent = measured.report(include=core(), skip_covered=True, show_missing=True)
    return 0 if percent >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
