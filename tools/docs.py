"""Writes what the documents take from the code: ``python -m tools.docs``. IO.

The settings become ``.env.example`` and the tables of ``docs/settings.md``; the pages of
``docs/clients/`` and ``docs/reliability.md`` come from the doctor's templates and the fault tests.
What the dashboard says of error codes comes from ``docs/errors.md``.
"""

import re
from pathlib import Path
from typing import Final

from jarvis_proxy.config.env_example import NOTES, env_example, settings_by_section
from jarvis_proxy.config.fields import SettingsSection
from jarvis_proxy.config.settings import Setting
from tools.error_pages import LANGUAGES, error_page, reasons_script

ROOT: Final = Path(__file__).resolve().parents[1]
ENV_EXAMPLE: Final = ROOT / ".env.example"
SETTINGS_PAGE: Final = ROOT / "docs/settings.md"

STATIC: Final = ROOT / "jarvis_proxy/server/static"

_BEGIN: Final = "<!-- The tables below are written by `python -m tools.docs`. -->\n"
_END: Final = "<!-- End of the tables. -->\n"


def settings_page(before: str) -> str:
    """Return ``docs/settings.md`` with its tables as the code has them, all else as *before*."""
    head, _, rest = before.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    return f"{head}{_BEGIN}\n{_tables()}\n{_END}{tail}"


def _tables() -> str:
    return "\n".join(_table(section, settings) for section, settings in settings_by_section())


def _table(section: SettingsSection, settings: list[Setting]) -> str:
    note = f"{NOTES[section]}\n\n" if section in NOTES else ""
    rows = "".join(
        f"| `{setting.name}` | {_default(setting)} | {_cell(setting.text)} |\n"
        for setting in settings
    )
    return f"### {section}\n\n{note}| Setting | Default | Meaning |\n|---|---|---|\n{rows}"


def _default(setting: Setting) -> str:
    return f"`{setting.default}` {setting.unit}".rstrip() if setting.default else "empty"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def dashboard_files() -> dict[Path, str]:
    """Return the dashboard's files that come from the documents, by their path."""
    documents = {
        language: (ROOT / "docs" / name).read_text(encoding="utf-8")
        for language, name in LANGUAGES.items()
    }
    pages = {
        STATIC / LANGUAGES[language].replace(".md", ".html"): error_page(text, language)
        for language, text in documents.items()
    }
    return {STATIC / "reasons.js": reasons_script(documents), **pages}


def main() -> None:
    """Write all of it."""
    # The templates and the fault table belong to the tests, which the package does not need.
    from tests.doctor import client_guide
    from tests.faults import document

    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")
    before = SETTINGS_PAGE.read_text(encoding="utf-8")
    SETTINGS_PAGE.write_text(settings_page(before), encoding="utf-8")
    client_guide.main()
    for path, text in dashboard_files().items():
        path.write_text(text, encoding="utf-8")
    document.PATH.write_text(document.render(), encoding="utf-8")


if __name__ == "__main__":
    main()
