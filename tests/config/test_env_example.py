"""The example file: each setting once, explained, and commented out unless it must be filled in."""

import re

from jarvis_proxy.config.env_example import env_example, settings_by_section
from jarvis_proxy.config.fields import SettingsSection
from jarvis_proxy.config.settings import ALL_SETTINGS


def test_it_has_each_setting_once_with_its_default() -> None:
    found = re.findall(r"^#?([A-Z<][A-Z_<>]*)=(.*)$", env_example(), re.MULTILINE)

    assert len(found) == len(dict(found))
    assert dict(found) == {setting.name: setting.default for setting in ALL_SETTINGS}


def test_only_what_must_be_filled_in_is_set() -> None:
    first = dict(settings_by_section())[SettingsSection.FIRST]
    names = re.findall(r"^([A-Z_]+)=", env_example(), re.MULTILINE)

    assert names == [setting.name for setting in first]
    assert "PROXY_API_KEYS" in names


def test_no_line_is_wide() -> None:
    assert max(map(len, env_example().splitlines())) <= 100


def test_each_section_has_a_rule_in_the_order_of_the_sections() -> None:
    rules = re.findall(r"^# --- (.+?) -+$", env_example(), re.MULTILINE)

    assert rules == [str(section) for section in SettingsSection]
