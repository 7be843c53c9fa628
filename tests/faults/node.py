"""The official SDK for Node.js: all calls of a batch in one subprocess. IO."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.clients import Observed
from tests.faults.dialects import Dialect

_SCRIPT: Final = Path(__file__).with_name("batch.mjs")
_PLACES: Final = (Path(__file__).parents[1] / "node", Path(__file__).parent)
"""Where ``npm ci`` may have put the package."""
_PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Call:
    """One call for the batch: made *times* times, the last one counts."""

    id: str
    dialect: Dialect
    model: str
    times: int = 1
    alone: bool = False


def missing() -> str:
    """Return why the SDK cannot be run here, "" if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if _home() is None:
        return "the openai package for Node.js is not installed in tests/node"
    return ""


def _home() -> Path | None:
    return next((p for p in _PLACES if (p / "node_modules/openai/package.json").is_file()), None)


async def ask_all(calls: Sequence[Call], url: str, key: str) -> dict[str, Observed | str]:
    """Make all calls; return what was seen by each, or what went wrong in words."""
    home = _home()
    assert home is not None
    batch = [
        {
            "id": call.id,
            "surface": call.dialect.surface,
            "body": call.dialect.request(call.model),
            "times": call.times,
            "alone": call.alone,
        }
        for call in calls
    ]
    process = await asyncio.create_subprocess_exec(
        "node",
        str(_SCRIPT),
        str(home / "package.json"),
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    # The key goes through stdin: an argument can be seen by every user of the machine.
    text = json.dumps({"key": key, "calls": batch}).encode()
    async with asyncio.timeout(_PATIENCE):
        out, _ = await process.communicate(text)
    found: dict[str, Observed | str] = {}
    for line in out.splitlines():
        answer = json.loads(line)
        number, trouble = answer.pop("id"), answer.pop("trouble", "")
        found[number] = trouble or Observed(**answer)
    return found
