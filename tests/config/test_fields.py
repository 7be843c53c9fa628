"""How fields declare the settings that fill them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

import pytest

from jarvis_proxy.config.fields import (
    Setting,
    SettingsSection,
    list_settings,
    parse_fields,
    setting,
)
from jarvis_proxy.config.parsers import EnvReader, seconds

WAIT = Setting(
    name="WAIT", section=SettingsSection.TIMEOUTS, default="5", unit="s", text="How long."
)
NAMES = Setting(name="NAMES", section=SettingsSection.MODELS, text="Who.")


@dataclass(frozen=True, kw_only=True)
class Sample:
    wait: float = setting(
        "WAIT",
        section=SettingsSection.TIMEOUTS,
        default="5",
        unit="s",
        text="How long.",
        parser=seconds,
    )
    names: tuple[str, ...] = setting("NAMES", section=SettingsSection.MODELS, text="Who.", value=())
    roads: Mapping[str, str] = setting(
        "ROADS",
        section=SettingsSection.MODELS,
        text="Where to.",
        value=MappingProxyType({}),
        repr=False,
    )
    plain: int = 0


def test_a_class_is_described_by_its_fields_in_order() -> None:
    assert list_settings(Sample)[:2] == (WAIT, NAMES)


def test_the_default_is_the_value_of_its_text() -> None:
    sample = Sample()

    assert (sample.wait, sample.names, sample.roads) == (5.0, (), {})
    assert [field.name for field in fields(Sample) if not field.repr] == ["roads"]


@pytest.mark.parametrize(("env", "wait"), [({}, 5.0), ({"WAIT": ""}, 5.0), ({"WAIT": "7"}, 7.0)])
def test_only_fields_with_a_parser_are_parsed(env: dict[str, str], wait: float) -> None:
    reader = EnvReader({**env, "NAMES": "a", "PLAIN": "1"})

    assert parse_fields(Sample, reader) == {"wait": wait}
    assert reader.problems == []


def test_a_wrong_value_leaves_the_default_and_a_problem() -> None:
    reader = EnvReader({"WAIT": "long"})

    assert parse_fields(Sample, reader) == {"wait": 5.0}
    assert [problem.partition(":")[0] for problem in reader.problems] == ["WAIT"]
