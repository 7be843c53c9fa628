"""The text of .env.example, which the first start fills in. Pure."""

import textwrap
from collections.abc import Iterator
from typing import Final

from jarvis_proxy.config.fields import SettingsSection
from jarvis_proxy.config.settings import ALL_SETTINGS, Setting

_WIDTH: Final = 100
_HEAD: Final = """\
# Settings of Jarvis proxy. Copy this file to .env, or run ./start.sh, which does that once and
# fills in a random client key. A variable that is set in the environment overrides this file.
#
# NAME=value, one per line; text after a space and # is a comment. A line that starts with # shows
# a default: remove the # to change it. Durations are in seconds (s); 1 MB is 1024 * 1024 bytes.
# This file is written by `python -m tools.docs`; docs/settings.md says more.
"""
NOTES: Final = {
    SettingsSection.KEYS: (
        "For the key `laptop:…` in `PROXY_API_KEYS` they are called `KEY_LAPTOP_RPM` and so on:"
        " the key's name in upper case, with `_` for `.` and `-`. A key without any of them may"
        " do everything."
    ),
}
"""The notes above the settings of a section."""


def settings_by_section() -> Iterator[tuple[SettingsSection, list[Setting]]]:
    """Yield the sections in order, each with its settings."""
    for section in SettingsSection:
        yield section, [setting for setting in ALL_SETTINGS if setting.section is section]


def env_example() -> str:
    """Return the text of ``.env.example``."""
    blocks = [_HEAD]
    for section, settings in settings_by_section():
        rule = "-" * (_WIDTH - len(section) - 7)
        note = _comment(NOTES[section]) if section in NOTES else ""
        blocks.append(f"# --- {section} {rule}\n{note}")
        blocks.extend(_entry(setting) for setting in settings)
    return "\n".join(blocks)


def _entry(setting: Setting) -> str:
    # Required settings have no leading #, because they must be filled in.
    mark = "" if setting.section is SettingsSection.FIRST else "#"
    unit = f" ({setting.unit})" if setting.unit else ""
    return f"{_comment(setting.text + unit)}{mark}{setting.name}={setting.default}\n"


def _comment(text: str) -> str:
    lines = textwrap.wrap(
        text.replace("`", ""), _WIDTH - 2, break_long_words=False, break_on_hyphens=False
    )
    return "".join(f"# {line}\n" for line in lines)
