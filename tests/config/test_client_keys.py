"""Client keys: their forms, their problems and their hints."""

from hashlib import sha256

import pytest

from jarvis_proxy.config.client_keys import ClientKey, client_keys
from jarvis_proxy.config.parsers import EnvReader
from jarvis_proxy.config.upstreams import upstreams

KEY = "0123456789abcdef"
DIGEST = sha256(KEY.encode()).digest()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (KEY, ClientKey(DIGEST.hex()[:8], DIGEST)),
        (f" laptop : {KEY} ", ClientKey("laptop", DIGEST)),
        (f"sha256:{DIGEST.hex()}", ClientKey(DIGEST.hex()[:8], DIGEST)),
        (f"SHA256:{DIGEST.hex().upper()}", ClientKey(DIGEST.hex()[:8], DIGEST)),
        (f"my.nas-1:sha256: {DIGEST.hex()}", ClientKey("my.nas-1", DIGEST)),
        (f"short:{KEY[:15]}", ClientKey("short", sha256(KEY[:15].encode()).digest(), weak=True)),
    ],
    ids=["key", "name", "digest", "upper case", "name and digest", "weak"],
)
def test_each_form_of_a_client_key(entry: str, expected: ClientKey) -> None:
    reader = EnvReader({"PROXY_API_KEYS": entry})
    (key,) = client_keys(reader)

    assert reader.problems == []
    assert expected == key


@pytest.mark.parametrize("as_digest", [False, True])
def test_the_key_of_the_documented_example_is_known_in_any_form(as_digest: bool) -> None:
    entry = "jarvis-local-secret"
    if as_digest:
        entry = f"sha256:{sha256(entry.encode()).hexdigest()}"
    (key,) = client_keys(EnvReader({"PROXY_API_KEYS": entry}))

    assert key.default
    assert not key.weak


@pytest.mark.parametrize(
    ("setting", "env"),
    [
        ("PROXY_API_KEYS", {"PROXY_API_KEYS": f"{KEY};{KEY}2"}),
        ("PROXY_API_KEYS", {"PROXY_API_KEYS": f"laptop:{KEY};{KEY}2,phone:{KEY}3"}),
        ("OPENAI_API_KEY", {"OPENAI_API_KEY": "sk-1;sk-2"}),
        ("X_MODELS", {"UPSTREAMS": "x", "X_BASE_URL": "https://a.example", "X_MODELS": "a;b"}),
    ],
)
def test_a_semicolon_between_entries_gets_a_hint(setting: str, env: dict[str, str]) -> None:
    reader = EnvReader(env)
    client_keys(reader)
    upstreams(reader)

    assert f"{setting} holds a semicolon, which separates nothing: put commas" in str(
        reader.warnings
    )
    assert KEY not in str(reader.warnings)


def test_named_keys_with_a_semicolon_between_are_refused_with_the_reason() -> None:
    reader = EnvReader({"PROXY_API_KEYS": f"laptop:{KEY};phone:{KEY}2"})
    client_keys(reader)

    assert reader.problems == [
        "PROXY_API_KEYS: entry 1 holds a semicolon; commas separate entries."
    ]


@pytest.mark.parametrize(
    "name",
    [
        "PROXY_API_KEY",
        "proxy_api_keys",
        "PROXY_APIKEYS",
        "PROXY_KEY",
        "PROXY_KEYS",
        "PROXY-API-KEYS",
    ],
)
def test_a_missing_client_key_names_the_setting_that_was_mistyped(name: str) -> None:
    reader = EnvReader({name: KEY, "OPENAI_API_KEY": "sk-1", "PATH": "/bin", "HTTP_PROXY": "x"})
    client_keys(reader)

    (problem,) = reader.problems
    assert f"{name} is set, but is no setting: rename it." in problem
    assert KEY not in problem


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_API_KEYS", "ADMIN_KEY", "HTTPS_PROXY"])
def test_what_is_another_setting_is_not_taken_for_a_mistyped_one(name: str) -> None:
    reader = EnvReader({name: KEY, "PROXY_API_KEY": " "})
    client_keys(reader)

    assert "rename" not in reader.problems[0]


def test_a_placeholder_next_to_a_client_key_opens_nothing() -> None:
    reader = EnvReader({"PROXY_API_KEYS": f"sk-xxx,{KEY}"})
    keys = client_keys(reader)

    assert [key.digest for key in keys] == [DIGEST]
    assert reader.warnings == [
        "PROXY_API_KEYS holds a placeholder, which opens nothing: remove it."
    ]


def test_a_named_placeholder_is_no_key() -> None:
    reader = EnvReader({"PROXY_API_KEYS": "laptop:sk-xxx"})

    assert client_keys(reader) == ()
    assert reader.problems == ["PROXY_API_KEYS: entry 1 has a name but no key after the colon."]


def test_problems_count_entries_from_one() -> None:
    reader = EnvReader({"PROXY_API_KEYS": f"{KEY},a b,{KEY}"})
    client_keys(reader)

    assert [problem.split(": ")[1][:7] for problem in reader.problems] == ["entry 2", "entry 3"]
