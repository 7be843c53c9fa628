"""Writes what the documents take from the code: ``python -m tools.docs``. IO.

The settings become ``.env.example`` and the tables of ``docs/settings.md``; the pages of
``docs/clients/`` and ``docs/reliability.md`` come from the doctor's templates and the fault tests.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jarvis_proxy.config.fields import SettingsSection
from jarvis_proxy.config.settings import ALL_SETTINGS, Setting

ROOT: Final = Path(__file__).resolve().parents[1]
ENV_EXAMPLE: Final = ROOT / ".env.example"
SETTINGS_PAGE: Final = ROOT / "docs/settings.md"

_WIDTH: Final = 100
_BEGIN: Final = "<!-- The tables below are written by `python -m tools.docs`. -->\n"
_END: Final = "<!-- End of the tables. -->\n"
_ENV_HEAD: Final = """\
# Settings of Jarvis proxy. Copy this file to .env, or run ./start.sh, which does that once and
# fills in a random client key. A variable that is set in the environment overrides this file.
#
# NAME=value, one per line; text after a space and # is a comment. A line that starts with # shows
# a default: remove the # to change it. Durations are in seconds (s); 1 MB is 1024 * 1024 bytes.
# This file is written by `python -m tools.docs`; docs/settings.md says more.
"""
_NOTES: Final = {
    SettingsSection.KEYS: (
        "For the key `laptop:…` in `PROXY_API_KEYS` they are called `KEY_LAPTOP_RPM` and so on:"
        " the key's name in upper case, with `_` for `.` and `-`. A key without any of them may"
        " do everything."
    ),
}


def settings_by_section() -> Iterator[tuple[SettingsSection, list[Setting]]]:
    """Yield the sections in their order, each with its settings."""
    for section in SettingsSection:
        yield section, [setting for setting in ALL_SETTINGS if setting.section is section]


def env_example() -> str:
    """Return the text of ``.env.example``."""
    blocks = [_ENV_HEAD]
    for section, settings in settings_by_section():
        rule = "-" * (_WIDTH - len(section) - 7)
        note = _comment(_NOTES[section]) if section in _NOTES else ""
        blocks.append(f"# --- {section} {rule}\n{note}")
        blocks.extend(_env_entry(setting) for setting in settings)
    return "\n".join(blocks)


def _env_entry(setting: Setting) -> str:
    # What nobody can start without stands there to be filled in.
    mark = "" if setting.section is SettingsSection.FIRST else "#"
    unit = f" ({setting.unit})" if setting.unit else ""
    return f"{_comment(setting.text + unit)}{mark}{setting.name}={setting.default}\n"


def _comment(text: str) -> str:
    lines = textwrap.wrap(
        text.replace("`", ""), _WIDTH - 2, break_long_words=False, break_on_hyphens=False
    )
    return "".join(f"# {line}\n" for line in lines)


def settings_page(before: str) -> str:
    """Return ``docs/settings.md`` with its tables as the code has them, all else as *before*."""
    head, _, rest = before.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    return f"{head}{_BEGIN}\n{_tables()}\n{_END}{tail}"


def _tables() -> str:
    return "\n".join(_table(section, settings) for section, settings in settings_by_section())


def _table(section: SettingsSection, settings: list[Setting]) -> str:
    note = f"{_NOTES[section]}\n\n" if section in _NOTES else ""
    rows = "".join(
        f"| `{setting.name}` | {_default(setting)} | {_cell(setting.text)} |\n"
        for setting in settings
    )
    return f"### {section}\n\n{note}| Setting | Default | Meaning |\n|---|---|---|\n{rows}"


def _default(setting: Setting) -> str:
    return f"`{setting.default}` {setting.unit}".rstrip() if setting.default else "empty"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def main() -> None:
    """Write all of it."""
    # The templates and the fault table belong to the tests, which the package does not need.
    from tests.doctor import client_guide
    from tests.faults import document

    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")
    before = SETTINGS_PAGE.read_text(encoding="utf-8")
    SETTINGS_PAGE.write_text(settings_page(before), encoding="utf-8")
    client_guide.main()
    document.PATH.write_text(document.render(), encoding="utf-8")


if __name__ == "__main__":
    main()
