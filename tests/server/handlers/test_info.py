"""What the proxy says of itself, without asking any upstream."""

import json

import pytest

from jarvis_proxy.routing.model_list import ModelEntry
from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(b'{"object":"list","data":[]}')


@pytest.mark.parametrize("accept", ["application/json", "text/html,*/*;q=0.8", "image/png"])
@pytest.mark.parametrize("path", ["/health", "/v1/health", "//health/", "/health?x=y"])
async def test_health_is_the_documented_json_whatever_is_accepted(path: str, accept: str) -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, path, headers={"Accept": accept}, method="GET")

    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.body == b'{"status":"ok","service":"jarvis-openai-proxy"}'


async def test_root_says_where_the_api_is() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, "/", method="GET")

    assert json.loads(response.body)["api"] == "/v1"


async def test_ready_turns_when_the_server_drains_and_health_does_not() -> None:
    async with running_proxy() as proxy:
        before = await fetch(proxy.port, "/ready", method="GET")
        proxy.context.draining = True
        after = await fetch(proxy.port, "/ready", method="GET")
        health = await fetch(proxy.port, "/health", method="GET")

    assert (before.status, before.body) == (200, b'{"status":"ok"}')
    assert (after.status, after.body) == (503, b'{"status":"draining"}')
    assert health.status == 200


async def test_models_are_listed_in_openais_form_without_an_upstream() -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url) as proxy,
    ):
        response = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")

    assert upstream.connections == 0
    listed = json.loads(response.body)
    assert listed["object"] == "list"
    assert {"gpt-4o", "gemini-3-flash", "jarvis-echo"} <= {model["id"] for model in listed["data"]}
    for model in listed["data"]:
        assert set(model) == {"id", "object", "created", "owned_by"}
        assert (model["object"], type(model["created"])) == ("model", int)


async def test_models_without_a_key_are_hidden() -> None:
    async with running_proxy(GEMINI_API_KEY="") as proxy:
        response = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        hidden = await fetch(proxy.port, "/v1/models/gemini-3-flash", headers=BEARER, method="GET")

    names = {model["id"] for model in json.loads(response.body)["data"]}
    assert "gpt-4o" in names
    assert not any("gemini" in name for name in names)
    assert (hidden.status, hidden.error()["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/org/model",
        "/v1/models/org%2Fmodel",
        "/models/org%2fmodel",
        "/v1/models/org//model/",
    ],
)
async def test_model_whose_id_has_a_slash_is_found(path: str) -> None:
    async with running_proxy() as proxy:
        proxy.context.model_list.update("openai", [ModelEntry("org/model", 5, "org")])
        response = await fetch(proxy.port, path, headers=BEARER, method="GET")

    assert response.status == 200
    assert json.loads(response.body) == {
        "id": "org/model",
        "object": "model",
        "created": 5,
        "owned_by": "org",
    }


@pytest.mark.parametrize("name", ["nothing-like-this", "a" * 300, "%3Cscript%3E", "%F0%9F%98%80"])
async def test_unknown_model_is_named_in_ascii_and_short(name: str) -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, f"/v1/models/{name}", headers=BEARER, method="GET")

    assert (response.status, response.error()["code"]) == (404, "model_not_found")
    assert response.error()["param"] == "model"
    assert len(response.body) < 300
    assert response.body.isascii()


async def test_list_says_which_upstreams_it_could_not_ask() -> None:
    async with running_proxy() as proxy:
        proxy.context.model_list.failed("openai")
        response = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")

    assert response.status == 200
    assert response.headers["x-jarvis-warning"] == "models not up to date: openai"


MESSAGES = {**BEARER, "anthropic-version": "2023-06-01"}


async def test_messages_clients_find_each_model_under_a_name_that_they_show() -> None:
    async with running_proxy(MODEL_ALIASES="my-claude=openai/x") as proxy:
        path = "/v1/models?limit=1&after_id=x"
        response = await fetch(proxy.port, path, headers=MESSAGES, method="GET")
    listed = json.loads(response.body)
    names = [model["id"] for model in listed["data"]]
    assert {"gpt-4o", "claude-gpt-4o", "my-claude"} <= set(names)
    assert "claude-my-claude" not in names
    assert len(names) == len(set(names))
    assert (listed["first_id"], listed["last_id"]) == (names[0], names[-1])
    assert listed["has_more"] is False
    assert listed["data"][0] == {
        "type": "model",
        "id": names[0],
        "display_name": names[0],
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }


@pytest.mark.parametrize("name", ["gpt-4o", "claude-gpt-4o", "claude-gpt-4o[1m]"])
async def test_messages_clients_find_one_model_under_each_of_its_names(name: str) -> None:
    async with running_proxy() as proxy:
        for prefix in ("/v1", "/anthropic/v1"):
            path = f"{prefix}/models/{name}"
            response = await fetch(proxy.port, path, headers=MESSAGES, method="GET")
            assert response.status == 200
            assert json.loads(response.body)["id"] == name
        unknown = await fetch(proxy.port, "/v1/models/claude-x", headers=MESSAGES, method="GET")
    assert unknown.status == 404
    assert json.loads(unknown.body)["error"]["type"] == "not_found_error"
