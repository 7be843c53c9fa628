"""Requests of keys that may use certain models: no second model gets by, in any spelling."""

import json

import msgspec
import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.single_model import check_names, check_query, only_model

LARGE = '"pad":[' + ",".join(['"x"'] * 100_000) + "],"


def refused(body: bytes) -> tuple[object, object]:
    with pytest.raises(ProxyError) as caught:
        only_model(body, "cheap")
    return caught.value.status, caught.value.code


ODD = [
    '"Model":"dear"',
    '"MODEL":"dear"',
    '" model":"dear"',
    '"model ":"dear"',
    '"mod_el":"dear"',
    '"model\\u0000":"dear"',
    '"\\uff4dodel":"dear"',
    '"models":["dear"]',
    '"Models":["dear"]',
    '"model\\u017f":["dear"]',
    '"fallbac\\u212as":["dear"]',
    '"fallbacks":[{"cheap":["dear"]}]',
    '"fallback_models":["dear"]',
    '"route":"fallback"',
    '"context_window_fallback_dict":{"cheap":"dear"}',
    '"preset":"dear"',
    '"engine":"dear"',
    '"extra_body":{"model":"dear"}',
    '"extra_body":{"Models":["dear"]}',
]


@pytest.mark.every_case
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("pad", ["", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_field_that_may_name_a_model_is_refused(odd: str, pad: str, first: bool) -> None:
    body = f'{{{odd},{pad}"model":"cheap"}}' if first else f'{{"model":"cheap",{pad}{odd}}}'

    assert refused(body.encode()) == (400, "unsupported_parameter")


@pytest.mark.parametrize(
    "twice",
    [
        '"model":"dear"',
        '"mo\\u0064el":"dear"',
        '"model":"\\ud83d"',
        '"model":{"a":"b"},"x\\u0022\\u0022\\u0022\\u0022\\u0022\\u0022":1',
        '"model":"","x\\u0022\\u0022\\u0022\\u0022":1',
        '"model":7,"\\"":1',
    ],
)
@pytest.mark.parametrize("pad", ["", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_field_that_is_named_twice_is_refused(twice: str, pad: str, first: bool) -> None:
    body = f'{{{twice},{pad}"model":"cheap"}}' if first else f'{{"model":"cheap",{pad}{twice}}}'

    assert refused(body.encode()) == (400, "invalid_json")


def test_the_one_model_is_written_into_the_body_and_nothing_else_changes() -> None:
    body = b'{"a": [ {"model":"x", "b\\"": "\\ud83d"} ], "model" : "m", "t":{"models":1}}'
    written, others = only_model(body, "cheap")

    assert written == (
        b'{"a":[ {"model":"x", "b\\"": "\\ud83d"} ],"model":"cheap","t":{"models":1}}'
    )
    assert others == ()


def test_without_a_model_none_is_written() -> None:
    assert only_model(b'{"input": "x"}', None) == (b'{"input": "x"}', ())


def test_models_of_tools_are_returned() -> None:
    tools = [{"type": "image_generation", "model": "dear"}, {"type": "function"}, {"model": None}]
    body = json.dumps({"model": "cheap", "tools": tools}).encode()

    assert only_model(body, "cheap")[1] == ("dear",)


@pytest.mark.parametrize("tools", ["7", '[{"model":7}]', "{}", "null", '"x"'])
def test_tools_of_another_form_are_left_to_the_upstream(tools: str) -> None:
    body = f'{{"model":"cheap","tools":{tools}}}'.encode()

    assert only_model(body, "cheap") == (body, ())


def test_thousands_of_fields_are_not_looked_at() -> None:
    body = msgspec.json.encode({"model": "cheap"} | {f"k{number}": 1 for number in range(1001)})

    assert refused(body) == (400, "invalid_json")


@pytest.mark.parametrize("name", ["modalities", "max_tokens", "remodel", "user", "router", "", "é"])
def test_other_names_are_taken(name: str) -> None:
    check_names([name])


@pytest.mark.parametrize(
    "query",
    ["model=dear", "a=b&Model=dear", "a=b;model=dear", "%6dodel=dear", "+model=x", "models="],
)
def test_a_query_that_may_name_a_model_is_refused(query: str) -> None:
    with pytest.raises(ProxyError, match="certain models"):
        check_query(query)


def test_other_queries_are_taken() -> None:
    check_query("")
    check_query("api-version=2024-10-21&x")


@pytest.mark.parametrize("extra", [b"7", b'["model"]', b"null"])
def test_an_extra_body_that_is_no_object_names_no_model(extra: bytes) -> None:
    body = b'{"model":"cheap","extra_body":%b}' % extra

    assert only_model(body, "cheap") == (body, ())
