"""Pictures of the dashboard for the documents: python -m tests.browser.pictures [FOLDER]. IO."""

import asyncio
import sys
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.browser import scene
from tests.browser.driver import chromium, missing, play
from tests.conftest import running_proxy

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_PHONE: Final = {"width": 390, "height": 844}
_SETTLED: Final = 6.0
"""Seconds of traffic after which the charts show something."""
SHOTS: Final[tuple[dict[str, Any], ...]] = (
    {
        "viewport": {"width": 1280, "height": 860},
        "scheme": "light",
        "locale": "en-GB",
        "stops": (("body", "live-page.png"),),
    },
    {
        "viewport": _PHONE,
        "scheme": "dark",
        "locale": "zh-CN",
        "mobile": True,
        "scale": 1.5,
        "ask": "你好，Jarvis",
        "stops": (("body", "live-page-phone.png"),),
    },
)


async def take(folder: Path, shots: tuple[dict[str, Any], ...] = SHOTS) -> None:
    """Write the pictures into *folder*."""
    async with running_proxy(**scene.SETTINGS) as proxy:
        random: Random = scene.furnish(proxy.context)
        traffic = asyncio.create_task(scene.go_on(proxy.context, random))
        await asyncio.sleep(_SETTLED)
        for shot in shots:
            stops = [[selector, str(folder / name)] for selector, name in shot["stops"]]
            given = {**shot, "stops": stops, "adminKey": scene.SETTINGS["ADMIN_KEY"]}
            given["clientKey"] = "key-laptop-0123456789"
            await play("pictures", proxy.url, **given)
        traffic.cancel()


if __name__ == "__main__":
    if why := missing():
        sys.exit(f"no browser to take pictures in: {why}")
    with chromium():
        asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS))
