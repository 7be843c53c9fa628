"""Lists written from the documentation and from what upstreams send, and recorded ones."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.pagination import SyncPage
from openai.types import Model

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.model_list import (
    ModelEntry,
    ModelList,
    openai_list,
    openai_object,
    parse_gemini_models,
    parse_openai_models,
)
from tests.support.recordings import MISSING, WIRE, response_of

pytestmark = pytest.mark.slow


def everything(name: str) -> bool:
    return True


def listed(catalog: ModelList) -> list[dict[str, Any]]:
    answer = json.loads(openai_list(catalog.models(everything)))
    assert list(answer) == ["object", "data"]
    assert answer["object"] == "list"
    data: list[dict[str, Any]] = answer["data"]
    return data


def names(catalog: ModelList) -> list[str]:
    return [model["id"] for model in listed(catalog)]


def recorded(name: str) -> Any:
    path = WIRE / name
    if not path.is_file():
        pytest.skip(MISSING)
    return json.loads(path.read_text())


def raw(recording: Any) -> bytes:
    return response_of(recording)[0]


# -- OpenAI's lists --------------------------------------------------------------------------


def test_openais_list_is_read_in_its_order() -> None:
    body = (
        b'{"object":"list","data":['
        b'{"id":"gpt-4o","object":"model","created":1715367049,"owned_by":"system"},'
        b'{"id":"ft:gpt-4o:acme::1","object":"model","created":1,"owned_by":"acme","x":[]}]}'
    )

    assert parse_openai_models(body) == [
        ModelEntry("gpt-4o", 1715367049, "system"),
        ModelEntry("ft:gpt-4o:acme::1", 1, "acme"),
    ]


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'[{"id":"a"},{"id":"b"}]', ["a", "b"]),
        (b' \n[{"id":"a"}]', ["a"]),
        (b'{"data":[{"id":"a"}]}', ["a"]),
        (b'{"data":[]}', []),
        (b'{"data":null}', []),
        (b'{"data":[{"name":"a"},{"id":null},{"id":7},"a",null,[],{"id":"b"}]}', ["b"]),
        (b'{"data":[{"id":""},{"id":"a\\nb"},{"id":"\\u0000"},{"id":"b"}]}', ["b"]),
        (b'{"data":[{"id":"%s"},{"id":"%s"}]}' % (b"a" * 257, b"a" * 256), ["a" * 256]),
        (b'{"data":[{"id":"a","owned_by":7},{"id":"b"}]}', ["b"]),
    ],
)
def test_what_upstreams_leave_out_or_mangle_costs_at_most_the_item(
    body: bytes, ids: list[str]
) -> None:
    assert [entry.id for entry in parse_openai_models(body)] == ids


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        ("1700000000", 1_700_000_000),
        ("1700000000.9", 1_700_000_000),
        ("0", 0),
        ("null", 0),
        ('"2024-01-01"', 0),
        ("-1", 0),
        ("1e300", 0),
        ("9007199254740993", 0),
        ("18446744073709551616", 0),
    ],
)
def test_created_is_an_integer_whatever_was_sent(created: str, seconds: int) -> None:
    body = b'{"data":[{"id":"a","created":%s}]}' % created.encode()
    catalog = ModelList({}, {})
    catalog.update("openai", parse_openai_models(body))

    assert [(model["created"], type(model["created"])) for model in listed(catalog)] == [
        (seconds, int)
    ]


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ('"2025-11-24T00:00:00Z"', 1_763_942_400),
        ('"2025-11-24T01:00:00.5+01:00"', 1_763_942_400),
        ('"2025-11-24"', 1_763_942_400),
        ('"1970-01-01T00:00:00Z"', 0),
        ('"0001-01-01T00:00:00+23:59"', 0),
        ('"today"', 0),
        ('""', 0),
        ("null", 0),
        ("7", 0),
        ("[]", 0),
    ],
)
def test_anthropics_date_of_a_model_becomes_seconds(date: str, seconds: int) -> None:
    body = b'{"data":[{"type":"model","id":"claude-a","created_at":%s}],"has_more":false}'

    (model,) = parse_openai_models(body % date.encode())

    assert model.created == seconds


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"7",
        b"<html>",
        b'{"data":{}}',
        b'{"data":[',
        b'{"error":{}}',
        b'{"object":"list"}',
        b"\xff",
        b"[" * 100_000,
    ],
    ids=range(11),
)
def test_what_is_no_list_is_a_502(body: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        parse_openai_models(body)

    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_response")


# -- Gemini's lists --------------------------------------------------------------------------

GEMINI_PAGE = b"""{
  "models": [
    {"name": "models/gemini-2.5-flash", "version": "001", "inputTokenLimit": 1048576,
     "supportedGenerationMethods": ["generateContent", "countTokens"]},
    {"name": "models/gemini-embedding-001", "supportedGenerationMethods": ["embedContent"]},
    {"name": "models/batch-only", "supportedGenerationMethods": ["batchEmbedContents"]},
    {"name": "models/imagen-4", "supportedGenerationMethods": ["predict"]},
    {"name": "models/imagen-old", "supportedGenerationMethods": ["predictLongRunning"]},
    {"name": "models/forecast", "supportedGenerationMethods": ["predict"]},
    {"name": "models/live", "supportedGenerationMethods": ["bidiGenerateContent"]},
    {"name": "models/aqa", "supportedGenerationMethods": ["generateAnswer"]},
    {"name": "models/none"},
    {"name": "models/null", "supportedGenerationMethods": null},
    {"name": "models/odd", "supportedGenerationMethods": "generateContent"},
    {"name": "tunedModels/mine", "supportedGenerationMethods": ["generateContent"]},
    {"name": "models/", "supportedGenerationMethods": ["generateContent"]},
    {"supportedGenerationMethods": ["generateContent"]}
  ],
  "nextPageToken": "next"
}"""


def test_only_models_that_answer_embed_or_draw_are_kept() -> None:
    models, token = parse_gemini_models(GEMINI_PAGE)

    assert [(model.id, model.created, model.owned_by) for model in models] == [
        ("gemini-2.5-flash", 0, "google"),
        ("gemini-embedding-001", 0, "google"),
        ("batch-only", 0, "google"),
        ("imagen-4", 0, "google"),
    ]
    assert token == "next"


def test_googles_own_entries_are_kept() -> None:
    models, _ = parse_gemini_models(GEMINI_PAGE)

    assert models[1].native == (
        b'{"name": "models/gemini-embedding-001", "supportedGenerationMethods": ["embedContent"]}'
    )


def test_an_alias_takes_its_targets_own_entry() -> None:
    catalog = ModelList({"fast": "gemini/gemini-2.5-flash"}, {})
    catalog.update("gemini", parse_gemini_models(GEMINI_PAGE)[0])
    names = ("fast", "gemini/gemini-2.5-flash")
    alias, target = (catalog.model(name, lambda name: True) for name in names)

    assert alias is not None
    assert target is not None
    assert (alias.id, alias.native) == ("fast", target.native)
    assert [model.id for model in catalog.models(lambda name: name == "fast")] == ["fast"]
    assert catalog.model("fast", lambda name: False) is None


@pytest.mark.parametrize(
    "body", [b"{}", b'{"models":[]}', b'{"models":null}', b'{"nextPageToken":""}'], ids=bytes.decode
)
def test_a_page_may_be_empty_and_the_last(body: bytes) -> None:
    assert parse_gemini_models(body) == ([], None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"<html>",
        b'{"models":{}}',
        b'{"models":[',
        b'{"nextPageToken":7}',
        b'{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}',
        b'[{"error":{"code":403}}]',
        b"\xff",
        b'{"models":' + b"[" * 100_000,
    ],
    ids=range(11),
)
def test_what_is_no_page_is_a_502(body: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        parse_gemini_models(body)

    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_response")


# -- the catalogue ---------------------------------------------------------------------------


def place(name: str) -> str:
    """Route as the proxy does, in small."""
    return "gemini" if name.startswith(("gemini-", "models/")) else "openai"


def test_before_any_list_came_the_known_names_are_there() -> None:
    aliases = {"jarvis-echo": "jarvis/jarvis-echo", "gemini-3-flash": "gemini/gemini-3-x"}
    catalog = ModelList(aliases, {"deepseek-chat": "deepseek"})

    assert openai_list(catalog.models(everything)) == (
        b'{"object":"list","data":['
        b'{"id":"deepseek-chat","object":"model","created":0,"owned_by":"deepseek"},'
        b'{"id":"jarvis-echo","object":"model","created":0,"owned_by":"jarvis"},'
        b'{"id":"gemini-3-flash","object":"model","created":0,"owned_by":"google"}]}'
    )


def test_an_alias_takes_its_targets_dates_and_owner() -> None:
    catalog = ModelList({"fast": "openai/gpt-4o-mini"}, {})
    catalog.update("openai", [ModelEntry("gpt-4o-mini", 7, "system")])

    assert listed(catalog) == [
        {"id": "gpt-4o-mini", "object": "model", "created": 7, "owned_by": "system"},
        {"id": "fast", "object": "model", "created": 7, "owned_by": "system"},
    ]


def test_lists_are_merged_and_no_name_comes_twice() -> None:
    catalog = ModelList({"a": "openai/a"}, {"b": "openai"}, routed_upstream=place)
    catalog.update("openai", [ModelEntry("a", 1), ModelEntry("a", 2), ModelEntry("b", 3)])
    catalog.update("gemini", [ModelEntry("gemini-x", 0, "google")])

    assert [(model["id"], model["created"]) for model in listed(catalog)] == [
        ("a", 1),
        ("b", 3),
        ("gemini-x", 0),
    ]


def test_a_model_whose_bare_name_leads_elsewhere_is_listed_with_its_upstream() -> None:
    """Otherwise a client that picks from the list is sent to an upstream without that model."""
    catalog = ModelList({}, {}, routed_upstream=place)
    catalog.update("openai", [ModelEntry("same"), ModelEntry("gemini-lookalike")])
    catalog.update(
        "gemini", [ModelEntry("gemini-x"), ModelEntry("nano-banana"), ModelEntry("same")]
    )

    assert names(catalog) == [
        "same",
        "openai/gemini-lookalike",
        "gemini-x",
        "gemini/nano-banana",
        "gemini/same",
    ]


def test_an_upstream_that_names_no_owner_owns_its_models() -> None:
    catalog = ModelList({}, {})
    catalog.update("deepseek", [ModelEntry("deepseek-chat")])
    catalog.update("gemini", [ModelEntry("gemini-x")])

    assert [model["owned_by"] for model in listed(catalog)] == ["deepseek", "google"]


def test_a_list_stays_when_its_upstream_fails() -> None:
    catalog = ModelList({}, {})
    catalog.update("openai", [ModelEntry("a")])
    catalog.failed("openai")
    catalog.failed("gemini")

    assert names(catalog) == ["a"]
    assert catalog.failing() == ["gemini", "openai"]


def test_a_refreshed_list_replaces_the_old_one_and_ends_the_failure() -> None:
    catalog = ModelList({}, {})
    catalog.update("openai", [ModelEntry("a")])
    catalog.failed("openai")
    catalog.update("openai", [ModelEntry("b")])

    assert names(catalog) == ["b"]
    assert catalog.failing() == []


def test_what_a_key_may_not_use_is_hidden() -> None:
    catalog = ModelList({"alias": "openai/a"}, {"b": "openai"})
    catalog.update("openai", [ModelEntry("a")])

    def only_a(name: str) -> bool:
        return name == "a"

    assert [m["id"] for m in json.loads(openai_list(catalog.models(only_a)))["data"]] == ["a"]
    assert catalog.model("a", only_a) is not None
    for hidden in ("alias", "b", "openai/a"):
        assert catalog.model(hidden, everything) is not None
        assert catalog.model(hidden, only_a) is None


def test_one_model_is_shown_under_the_name_it_was_asked_for() -> None:
    catalog = ModelList({"fast": "gemini/gemini-x"}, {}, routed_upstream=place)
    catalog.update("gemini", [ModelEntry("gemini-x", 0, "google"), ModelEntry("nano", 0, "google")])
    shown = b'{"id":"%s","object":"model","created":0,"owned_by":"google"}'

    for name in ("gemini-x", "gemini/gemini-x", "gemini/nano", "fast"):
        model = catalog.model(name, everything)
        assert model is not None
        assert openai_object(model) == shown % name.encode()


@pytest.mark.parametrize("name", ["", "nano", "openai/gemini-x", "gemini/", "/gemini-x", "other"])
def test_unlisted_model_is_unknown(name: str) -> None:
    catalog = ModelList({}, {}, routed_upstream=place)
    catalog.update("gemini", [ModelEntry("gemini-x"), ModelEntry("nano")])

    assert catalog.model(name, everything) is None


# -- recorded traffic, and any bytes -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count", "example"),
    [
        ("openai/dd-trace-py__model_list__0_e00afd.json", 112, "gpt-3.5-turbo-0613"),
        ("openai/dd-trace-py__model_alist__0_890de5.json", 112, "gpt-3.5-turbo-0613"),
        ("openai/ruby-openai__models_list__0_35a1ac.json", 586, "gpt-3.5-turbo-16k"),
    ],
)
def test_recorded_openai_lists_are_kept_whole(name: str, count: int, example: str) -> None:
    record = recorded(name)
    catalog = ModelList({}, {})
    catalog.update("openai", parse_openai_models(raw(record)))
    page = SyncPage[Model].model_validate_json(openai_list(catalog.models(everything)), strict=True)
    original = {model["id"]: model for model in record["response"]["body"]["data"]}

    assert {model.id for model in page.data} == set(original)
    assert all(model.created == original[model.id]["created"] for model in page.data)
    assert all(model.owned_by == original[model.id]["owned_by"] for model in page.data)
    assert len(page.data) == count
    assert example in original


def test_the_recorded_gemini_list_keeps_what_can_be_reached() -> None:
    record = recorded("gemini/rig__list_models_smoke__0_0e09ac.json")
    entries, token = parse_gemini_models(raw(record))
    catalog = ModelList({}, {}, routed_upstream=place)
    catalog.update("gemini", entries)
    page = SyncPage[Model].model_validate_json(openai_list(catalog.models(everything)), strict=True)
    ids = [model.id for model in page.data]

    assert token is None
    assert len(ids) == 42
    assert {"gemini-2.5-flash", "gemini-embedding-2", "gemini/nano-banana-pro-preview"} <= set(ids)
    assert not [name for name in ids if "veo" in name or "live" in name]


def test_the_recorded_refusal_is_no_list() -> None:
    record = recorded(
        "openai/rig__model_listing_auth_failure_keeps_api_error_context__0_82ae93.json"
    )
    with pytest.raises(ProxyError):
        parse_openai_models(raw(record))


VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | st.floats() | st.integers(), st.lists, max_leaves=5
)
JSON = VALUES.map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("parse", [parse_openai_models, parse_gemini_models])
@given(
    body=st.binary()
    | JSON
    | JSON.map(lambda value: b'{"data":%s,"models":%s}' % (value, value))
    | JSON.map(lambda value: b'{"data":[{"id":"a","created":%s}]}' % value)
    | JSON.map(lambda value: b'{"models":[{"name":"models/a","x":%s}]}' % value)
)
def test_any_bytes_give_a_list_or_a_502(parse: Callable[[bytes], object], body: bytes) -> None:
    try:
        status = 200 if parse(body) is not None else 0
    except ProxyError as error:
        status = error.status

    assert status in (200, 502)


@pytest.mark.parametrize(
    "parse", [parse_openai_models, parse_gemini_models], ids=["openai", "gemini"]
)
def test_list_of_very_many_values_is_none(parse: Callable[[bytes], object]) -> None:
    for start in (b'{"data":[', b'{"models":['):
        with pytest.raises(ProxyError) as caught:
            parse(start + b"{}," * 500_000 + b"{}]}")
        assert caught.value.code == "upstream_bad_response"


def test_an_upstream_lists_a_bounded_number_of_models() -> None:
    catalog = ModelList({}, {})
    catalog.update("openai", (ModelEntry(f"m{number}") for number in range(50_000)))

    assert len(json.loads(openai_list(catalog.models(lambda name: True)))["data"]) == 20_000
