"""Errors in place of an answer, as upstreams spell them; and answers that only look like one."""

import json
from typing import Any

import pytest

from jarvis_proxy.upstreams.error_shapes import find_error, is_answer
from jarvis_proxy.upstreams.json_values import Fields
from jarvis_proxy.upstreams.openai_errors import error_from_value, error_in_answer

pytestmark = pytest.mark.slow

# name: (fields, status, code, message)
SPELLINGS: dict[str, tuple[dict[str, Any], int, str | int, str]] = {
    "openai": ({"error": {"message": "m", "code": "c"}}, 502, "c", "m"),
    "status as code": ({"error": {"message": "m", "code": 429}}, 429, 429, "m"),
    "status next to it": ({"error": {"message": "m"}, "status": 429}, 429, 429, "m"),
    "status within": ({"error": {"message": "m", "code": "c", "status": 503}}, 503, "c", "m"),
    "google": ({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}, 503, 503, "m"),
    "text": ({"error": "m"}, 502, "upstream_error", "m"),
    "text with more": (
        {"error": "Slow", "message": "Slow down", "status": 429},
        429,
        429,
        "Slow down",
    ),
    "nested": ({"error": {"error": {"message": "m", "code": 400}}}, 400, 400, "m"),
    "true": ({"error": True, "message": "m", "code": 500}, 500, 500, "m"),
    "list": ({"errors": [{"code": 1000, "message": "m"}]}, 502, "upstream_error", "m"),
    "with empty choices": (
        {"choices": [], "error": {"message": "m"}},
        502,
        "upstream_error",
        "m",
    ),
    "with null choices": (
        {"choices": None, "error": {"message": "m"}},
        502,
        "upstream_error",
        "m",
    ),
    "anthropic": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
        503,
        "upstream_error",
        "m",
    ),
    "vllm": (
        {"object": "error", "message": "m", "type": "BadRequestError", "param": None, "code": 400},
        400,
        400,
        "m",
    ),
    "fastchat": ({"object": "error", "message": "m", "code": 40303}, 502, "upstream_error", "m"),
    "fastapi": ({"detail": "m"}, 502, "upstream_error", "m"),
    "fastapi list": ({"detail": [{"loc": ["body"], "msg": "m"}]}, 502, "upstream_error", "m"),
    "fastapi object": ({"detail": {"error": {"message": "m"}}}, 502, "upstream_error", "m"),
    "problem": ({"title": "t", "status": 429, "detail": "m"}, 429, 429, "m"),
    "minimax": (
        {"choices": None, "base_resp": {"status_code": 2013, "status_msg": "m"}},
        502,
        "upstream_error",
        "m",
    ),
    "code and message": ({"code": 500, "message": "m"}, 500, 500, "m"),
    "code and msg": ({"code": 1113, "msg": "m"}, 502, "upstream_error", "m"),
    "code as text": ({"code": "429", "msg": "m", "data": None}, 429, "429", "m"),
    "word as code": ({"code": "InvalidParameter", "message": "m"}, 502, "InvalidParameter", "m"),
    "success false": ({"success": False, "message": "m"}, 502, "upstream_error", "m"),
    "baidu": ({"error_code": 17, "error_msg": "m"}, 502, "upstream_error", "m"),
    "message of an error": ({"data": {}, "error_msg": "m"}, 502, "upstream_error", "m"),
    "spring": ({"status": 503, "error": "m", "path": "/x"}, 503, 503, "m"),
    "aws": ({"message": "m"}, 502, "upstream_error", "m"),
    "azure": ({"statusCode": 429, "message": "m"}, 429, 429, "m"),
    "apigee": (
        {"fault": {"faultstring": "m", "detail": {"errorcode": "x"}}},
        502,
        "upstream_error",
        "m",
    ),
}


@pytest.mark.every_case
@pytest.mark.parametrize(("fields", "status", "code", "message"), SPELLINGS.values(), ids=SPELLINGS)
def test_error_in_place_of_an_answer(
    fields: Fields, status: int, code: str | int, message: str
) -> None:
    error = error_in_answer(json.dumps(fields).encode())

    assert error is not None
    assert (error.status, error.code, error.message) == (status, code, message)
    assert error.from_upstream


@pytest.mark.every_case
@pytest.mark.parametrize(
    "fields",
    [
        {"choices": [{"message": {}}], "error": {"message": "with an answer"}},
        {"choices": [{"message": {}}], "base_resp": {"status_code": 0, "status_msg": ""}},
        {"object": "response", "status": "failed", "error": {"message": "m"}, "output": []},
        {"object": "response", "error": None, "output": []},
        {"object": "list", "data": [{}], "error": None},
        {"results": [{}], "message": "m"},
        {"text": ""},
        {"text": "", "error": {}},
        {},
        {"id": "x"},
        {"error": None},
        {"error": False},
        {"error": ""},
        {"error": {}},
        {"errors": []},
        {"base_resp": {"status_code": 0, "status_msg": "success"}},
        {"code": 0, "message": "ok"},
        {"code": 200, "msg": "ok", "data": {}},
        {"code": "success", "message": "done"},
        {"code": "00000", "message": "done"},
        {"status": "queued", "message": "wait"},
        {"success": True, "message": "m"},
        {"message": "m", "id": "x"},
        {"detail": None},
        {"code": True, "message": "m"},
    ],
    ids=str,
)
def test_what_is_no_error_passes(fields: Fields) -> None:
    assert error_in_answer(json.dumps(fields).encode()) is None


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"7", b"null", b'"error"', b"[" * 100_000])
def test_what_is_no_object_holds_no_error(body: bytes) -> None:
    assert error_in_answer(body) is None


def test_the_first_of_a_list_is_looked_at() -> None:
    error = error_in_answer(b'[{"error":{"message":"m","code":404}}]')

    assert error is not None
    assert (error.status, error.message) == (404, "m")


@pytest.mark.parametrize(
    ("code", "retry_status"), [(1002, 429), (1008, 402), (1041, 429), (2056, 429), (1013, None)]
)
def test_minimax_codes_decide_what_is_tried_next(code: int, retry_status: int | None) -> None:
    error = error_from_value({"base_resp": {"status_code": code, "status_msg": "m"}})

    assert error is not None
    assert (error.status, error.retry_status) == (502, retry_status)


@pytest.mark.parametrize("code", [1004, 2049])
def test_minimax_refuses_the_proxys_key(code: int) -> None:
    error = error_from_value({"base_resp": {"status_code": code, "status_msg": "login fail"}})

    assert error is not None
    assert (error.status, error.code, error.reason) == (502, "upstream_auth_failed", "login fail")


def test_deep_nesting_ends() -> None:
    deep: dict[str, Any] = {"message": "m"}
    for _ in range(50):
        deep = {"error": deep, "detail": deep}

    assert find_error(deep) is not None
    assert not is_answer(deep)
