"""KEY_<NAME>_*: parsed, and never lost in a typo."""

from datetime import UTC, datetime
from ipaddress import ip_network

import pytest

from jarvis_proxy.config.budgets import NANO, Budget
from jarvis_proxy.config.client_keys import ClientKey
from jarvis_proxy.config.key_policies import (
    KeyPolicy,
    is_policy_setting,
    policies,
    policy_name,
)
from jarvis_proxy.config.parsers import EnvReader


def keys(*names: str) -> list[ClientKey]:
    return [ClientKey(name, name.encode()) for name in names]


def read(env: dict[str, str], *names: str) -> tuple[dict[str, KeyPolicy], list[str]]:
    reader = EnvReader(env)
    return dict(policies(reader, keys(*(names or ("laptop",))))), reader.problems


def epoch(year: int, month: int, day: int, hour: int = 0) -> float:
    return datetime(year, month, day, hour, tzinfo=UTC).timestamp()


def test_every_value_arrives_in_its_field() -> None:
    found, problems = read(
        {
            "KEY_LAPTOP_MODELS": "gpt-4o, gemini-*, *",
            "KEY_LAPTOP_RPM": "60",
            "KEY_LAPTOP_TPM": "100000",
            "KEY_LAPTOP_CONCURRENCY": "4",
            "KEY_LAPTOP_BUDGET": "5USD/day, 1000tokens/month",
            "KEY_LAPTOP_EXPIRES": "2027-01-31",
            "KEY_LAPTOP_CIDRS": "192.0.2.0/24, 2001:db8::/32",
        }
    )

    assert problems == []
    assert found == {
        "laptop": KeyPolicy(
            models=("gpt-4o", "gemini-*", "*"),
            rpm=60,
            tpm=100_000,
            concurrency=4,
            budget=(Budget(5 * NANO, "USD", "day"), Budget(1000, "tokens", "month")),
            expires=epoch(2027, 2, 1),
            cidrs=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
        )
    }


def test_keys_without_a_policy_have_none() -> None:
    env = {"KEY_B_RPM": "1", "KEY_A_RPM": "", "KEY_C_TPM": "  # none"}

    assert read(env, "a", "b", "c") == ({"b": KeyPolicy(rpm=1)}, [])


@pytest.mark.parametrize(
    ("key", "name"),
    [("laptop", "LAPTOP"), ("my-phone.2", "MY_PHONE_2"), ("a_b", "A_B"), ("0a1b2c3d", "0A1B2C3D")],
)
def test_the_name_is_upper_case_with_underscores(key: str, name: str) -> None:
    assert policy_name(key) == name
    assert read({f"KEY_{name}_RPM": "5"}, key) == ({key: KeyPolicy(rpm=5)}, [])


def test_a_name_may_look_like_the_end_of_a_setting() -> None:
    env = {"KEY_X_MODELS_RPM": "5", "KEY_X_MODELS": "gpt-4o"}

    assert read(env, "x", "x-models") == (
        {"x": KeyPolicy(models=("gpt-4o",)), "x-models": KeyPolicy(rpm=5)},
        [],
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-01-31", epoch(2027, 2, 1)),
        ("2028-02-29", epoch(2028, 3, 1)),
        ("9999-12-31", epoch(9999, 12, 31) + 86_400),
        ("2027-01-31T18:00:00Z", epoch(2027, 1, 31, 18)),
        ("2027-01-31t18:00z", epoch(2027, 1, 31, 18)),
        ("2027-01-31 18:00+02:00", epoch(2027, 1, 31, 16)),
        ("2027-01-31T18:00:00-0500", epoch(2027, 1, 31, 23)),
        ("0001-01-01T00:00+23:59", -62135596800.0 - 86_340),
    ],
)
def test_a_day_ends_at_its_end_and_a_time_has_its_zone(text: str, moment: float) -> None:
    found, problems = read({"KEY_LAPTOP_EXPIRES": text})

    assert problems == []
    assert found["laptop"].expires == moment


WRONG = {
    "MODELS": ["gpt 4", "a*b", "gpt-4o,a=b", ","],
    "RPM": ["0", "-1", "1.5", "many", "1000001"],
    "TPM": ["0", "1k", "9999999999"],
    "CONCURRENCY": ["0", "x"],
    "BUDGET": ["5", "5EUR/day", "5USD/year", "1USD/day,2USD/day", "0tokens/day", ",,"],
    "EXPIRES": [
        "tomorrow",
        "2027-02-30",
        "31.01.2027",
        "20270131",
        "2027-W05",
        "2027-02-01T18:00:00",
        "2027-01-31T25:00Z",
        "1800000000",
    ],
    "CIDRS": ["office", "10.1.2.3/8", ",,"],
}


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in WRONG.items() for text in texts]
)
def test_a_wrong_value_is_one_problem_that_does_not_show_it(kind: str, text: str) -> None:
    _, problems = read({f"KEY_LAPTOP_{kind}": text})

    (problem,) = problems
    assert problem.startswith(f"KEY_LAPTOP_{kind}: ")
    assert len(text) < 3 or text not in problem


@pytest.mark.parametrize(
    ("setting", "phrase"),
    [
        ("KEY_PHONE_RPM", "PROXY_API_KEYS does not name"),
        ("KEY_LAPTOP_2_RPM", "PROXY_API_KEYS does not name"),
        ("KEY_LAPTOP_RMP", "end in MODELS, RPM, TPM, CONCURRENCY, "),
        ("KEY_LAPTOP_", "end in MODELS"),
        ("key_laptop_rpms", "end in MODELS"),
        ("KEY_laptop_RPM", "must be written KEY_LAPTOP_RPM"),
        ("key_laptop_rpm", "must be written KEY_LAPTOP_RPM"),
    ],
)
def test_a_limit_is_not_lost_in_a_typo(setting: str, phrase: str) -> None:
    found, problems = read({setting: "5"})

    (problem,) = problems
    assert problem.startswith(f"{setting}: ")
    assert phrase in problem
    assert found == {}


@pytest.mark.parametrize(
    "setting", ["KEY_PHONE_RPM", "KEY_<NAME>_RPM", "KEY_RPM", "KEYS", "MY_KEY_A_RPM"]
)
def test_what_is_empty_or_no_policy_is_left_alone(setting: str) -> None:
    assert read({setting: ""}) == ({}, [])


def test_two_keys_whose_names_look_alike_cannot_have_a_policy() -> None:
    _, problems = read({"KEY_MY_KEY_TPM": "1", "KEY_MY_KEY_RPM": "1"}, "my-key", "My.Key", "other")

    assert problems == [
        "KEY_MY_KEY_RPM: is meant for several keys (my-key, My.Key): give them names that differ"
        " in more than case and punctuation."
    ]
    assert read({}, "my-key", "My.Key") == ({}, [])


def test_wrong_client_keys_are_reported_without_their_policies() -> None:
    reader = EnvReader({"KEY_LAPTOP_RPM": "1"})
    reader.add_problem("PROXY_API_KEYS", "is wrong")
    policies(reader, ())

    assert reader.problems == ["PROXY_API_KEYS: is wrong."]


def test_policies_cannot_be_changed() -> None:
    found = policies(EnvReader({}), keys("a"))

    with pytest.raises(TypeError):
        found["a"] = KeyPolicy()  # type: ignore[index]  # that it is refused is the claim


@pytest.mark.parametrize(
    ("name", "expected"),
    [("KEY_A_RPM", True), ("key_a_rpm", True), ("KEY_RPM", False), ("OPENAI_API_KEY", False)],
)
def test_names_of_policies_are_known(name: str, expected: bool) -> None:
    assert is_policy_setting(name) == expected
