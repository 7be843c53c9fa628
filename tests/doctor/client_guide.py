"""The sections of docs/clients.md, from the doctor's templates.

``python -m tests.doctor.client_guide`` writes them into both languages' pages. What stands before
the first client and from the last title on is written by hand.
"""

import re
from pathlib import Path
from typing import Final

from jarvis_proxy.doctor.client_guides.context import GuideContext
from jarvis_proxy.doctor.client_guides.registry import CLIENTS, Language, guide_markdown

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final[dict[Language, Path]] = {
    "en": ROOT / "docs" / "clients.md",
    "zh": ROOT / "docs" / "clients.zh-CN.md",
}
CONTEXT: Final = GuideContext("http://HOST:9000", ("gemini-3-flash", "gpt-4.1-mini"))
"""What the examples on the pages are filled with."""


def render(language: Language) -> str:
    """Return a page with its clients as the templates have them."""
    before, *_, after = re.split("^(?=## )", PAGES[language].read_text("utf-8"), flags=re.MULTILINE)
    guides = (f"#{guide_markdown(client, CONTEXT, language)}\n" for client in CLIENTS)
    return "".join((before, *guides, after))


def main() -> None:
    """Write both pages."""
    for language, path in PAGES.items():
        path.write_text(render(language), encoding="utf-8")


if __name__ == "__main__":
    main()
