"""Addresses of Google's API, in every spelling that clients use."""

import json

import pytest

from jarvis_proxy.dialects.generate_content.paths import (
    GooglePath,
    is_googles,
    read_path,
    unserved_path,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.google_verbs import VERBS
from tests.support.recordings import WIRE

STREAM = "streamGenerateContent"


def refused(path: str, method: str = "POST") -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        read_path(path, method)
    return caught.value


@pytest.mark.parametrize(
    "prefix",
    [
        "/v1beta",
        "/v1",
        "/v1alpha",
        "",
        "/gemini",
        "/gemini/v1beta",
        "/google/v1",
        "/v1beta/v1beta",
        "//v1beta/",
        "/v1beta1/projects/p-1/locations/global/publishers/google",
        "/v1/publishers/google",
    ],
)
@pytest.mark.parametrize("verb", VERBS)
def test_every_prefix_leads_to_the_method(prefix: str, verb: str) -> None:
    path = f"{prefix}/models/gemini-3-flash:{verb}"

    assert read_path(path) == GooglePath("call", verb, "gemini-3-flash")
    assert is_googles(path)


@pytest.mark.parametrize(
    ("written", "model"),
    [
        ("openai/gpt-4.1-mini", "openai/gpt-4.1-mini"),
        ("openai%2Fgpt-4.1-mini", "openai/gpt-4.1-mini"),
        ("models/x", "x"),
        ("models/models/x", "x"),
        ("ollama/gpt-oss:120b", "ollama/gpt-oss:120b"),
        ("llama3%3Alatest", "llama3:latest"),
        ("a@b_c.d-e", "a@b_c.d-e"),
    ],
)
@pytest.mark.parametrize("colon", [":", "%3A", "%3a"])
def test_the_last_colon_ends_the_model(written: str, model: str, colon: str) -> None:
    found = read_path(f"/v1beta/models/{written}{colon}{STREAM}")

    assert found == GooglePath("call", STREAM, model)


@pytest.mark.parametrize(
    "model", ["../files", "a/../b", "a%00b", "a b", "a//..", "%2e%2e", "/x%2F", "é", "a%0d%0ab"]
)
def test_a_name_that_is_none_does_not_exist(model: str) -> None:
    error = refused(f"/v1beta/models/{model}:generateContent")

    assert (error.status, error.code) == (404, "model_not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/tunedModels/mine:generateContent",
        "/v1beta/cachedContents",
        "/v1beta/files/abc",
        "/upload/v1beta/files",
        "/v1beta/interactions",
        "/v1beta/operations/x",
        "/v1beta/models/x:predictLongRunning",
        "/v1/models/x:batchGenerateContent",
        "/v1alpha/models/x:asyncBatchEmbedContent",
        "/gemini",
    ],
)
def test_what_is_not_served_says_so(path: str) -> None:
    error = refused(path)

    assert (error.status, error.code) == (404, "unknown_url")
    assert is_googles(path)


def test_the_nearest_method_is_named() -> None:
    assert "Did you mean generateContent?" in refused("/v1beta/models/x:generateContents").message


@pytest.mark.parametrize("prefix", ["/v1beta", "/v1alpha", "/gemini/v1beta", "/v1", ""])
def test_lists_and_single_models(prefix: str) -> None:
    assert read_path(f"{prefix}/models", "GET") == GooglePath("models")
    assert read_path(f"{prefix}/models/", "HEAD") == GooglePath("models")
    found = read_path(f"{prefix}/models/models/openai%2Fgpt-4.1:mini", "GET")
    assert found == GooglePath("model", model="openai/gpt-4.1:mini")


def test_lists_that_openais_clients_ask_for_too_are_not_only_googles() -> None:
    assert is_googles("/v1beta/models")
    assert not is_googles("/v1/models")
    assert not is_googles("/models/gpt-4.1")


def test_each_address_has_its_methods() -> None:
    call = read_path(f"/v1beta/models/x:{STREAM}", "GET")
    listed = read_path("/v1beta/models", "GET")

    assert call is not None
    assert listed is not None
    assert (call.methods, listed.methods) == (("POST",), ("GET", "HEAD"))


@pytest.mark.parametrize("path", ["/v1:streamGenerateContent", "/v1beta/models:generateContent"])
def test_an_address_without_its_model_says_where_it_belongs(path: str) -> None:
    error = refused(path)

    assert "/v1beta/models/MODEL:" in error.message
    assert is_googles(path)


def test_a_base_url_without_a_version_is_served() -> None:
    assert read_path(f"/models/gemini-3-flash:{STREAM}") is not None


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/chat/completions", "POST"),
        ("/v1beta/openai/chat/completions", "POST"),
        ("/v1beta/openai", "GET"),
        ("/v1/models/ft:gpt-4o:org::abc", "DELETE"),
        ("/v1/models/gpt-4.1", "DELETE"),
        ("/", "GET"),
        ("*", "OPTIONS"),
        ("/v1betamodels/x", "POST"),
        ("/v1beta/models/" + "x" * 1024 + ":generateContent", "POST"),
    ],
)
def test_other_addresses_are_not_googles(path: str, method: str) -> None:
    assert read_path(path, method) is None


def test_an_id_with_a_colon_is_no_method() -> None:
    assert read_path("/v1/models/ft:gpt-4o", "GET") == GooglePath("model", model="ft:gpt-4o")
    assert not is_googles("/v1/models/ft:gpt-4o")


@pytest.mark.skipif(not WIRE.is_dir(), reason="the captured requests are not next to this checkout")
def test_every_captured_address_of_a_real_client_is_known() -> None:
    paths = [
        json.loads(file.read_text())["path"].partition("?")[0]
        for file in (WIRE / "agents").glob("gemini_cli*.json")
    ]

    assert len(paths) >= 8
    assert all(found is not None and found.kind == "call" for found in map(read_path, paths))


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/v1beta//cachedContents/a", "cachedContents/a"),
        ("/v1beta/models/m%3AcountTokens", "models/m:countTokens"),
        ("/upload/v1beta/files", None),
        ("/v1beta/" + "x" * 10_000, None),
    ],
)
def test_what_is_relayed_to_google_has_its_path(path: str, rest: str | None) -> None:
    assert unserved_path(path) == rest
