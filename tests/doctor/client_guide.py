"""The pages of docs/clients/, one per client, from the doctor's templates.

``python -m tools.docs`` writes them in both languages.
"""

from pathlib import Path
from typing import Final

from jarvis_proxy.client_guides import CLIENTS
from jarvis_proxy.client_guides.context import GuideContext
from jarvis_proxy.client_guides.registry import Language, guide_markdown

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "clients"
CONTEXT: Final = GuideContext("http://HOST:9000", ("gemini-3-flash", "gpt-4.1-mini"))
"""What the examples on the pages are filled with."""
SUFFIXES: Final[dict[Language, str]] = {"en": ".md", "zh": ".zh-CN.md"}
_LINKS: Final[dict[Language, str]] = {
    "en": "[All clients](README.md) · [中文]({client}.zh-CN.md)",
    "zh": "[全部客户端](README.zh-CN.md) · [English]({client}.md)",
}


def page(client: str, language: Language) -> Path:
    """Return the path of a client's page."""
    return FOLDER / f"{client}{SUFFIXES[language]}"


def render(client: str, language: Language) -> str:
    """Return a client's page: its guide, with links below the title."""
    title, _, guide = guide_markdown(client, CONTEXT, language).partition("\n")
    return f"{title}\n\n{_LINKS[language].format(client=client)}\n{guide}"


def main() -> None:
    """Write all pages."""
    for client in CLIENTS:
        for language in SUFFIXES:
            page(client, language).write_text(render(client, language), encoding="utf-8")


if __name__ == "__main__":
    main()
