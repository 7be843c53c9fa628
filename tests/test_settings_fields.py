"""How fields say which settings fill them."""

from dataclasses import dataclass, field

import pytest

from jarvis_proxy.settings_fields import Limits, Setting, described, parsed, set_by
from jarvis_proxy.settings_parse import Reader, seconds


@dataclass(frozen=True, kw_only=True)
class Sample:
    wait: float = field(default=5.0, metadata=set_by("WAIT", "5", "s", "How long.", seconds))
    names: tuple[str, ...] = field(default=(), metadata=set_by("NAMES", "", "", "Who."))
    plain: int = 0


def test_a_class_is_described_by_its_fields_in_order() -> None:
    assert described(Sample) == (
        Setting("WAIT", "5", "s", "How long."),
        Setting("NAMES", "", "", "Who."),
    )


@pytest.mark.parametrize(("env", "wait"), [({}, 5.0), ({"WAIT": ""}, 5.0), ({"WAIT": "7"}, 7.0)])
def test_only_fields_with_a_parser_are_parsed(env: dict[str, str], wait: float) -> None:
    reader = Reader({**env, "NAMES": "a", "PLAIN": "1"})

    assert parsed(Sample, reader) == {"wait": wait}
    assert reader.problems == []


def test_a_wrong_value_leaves_the_default_and_a_problem() -> None:
    reader = Reader({"WAIT": "long"})

    assert parsed(Sample, reader) == {"wait": 5.0}
    assert [problem.partition(":")[0] for problem in reader.problems] == ["WAIT"]


def test_limits_are_filled_from_their_settings_alone() -> None:
    limits = Limits(**parsed(Limits, Reader({"MAX_STREAMS": "3", "MAX_INFLIGHT_MB": "2"})))

    assert limits == Limits(max_streams=3, max_bytes_in_flight=2 * 1024 * 1024)
