"""From a path to what answers it, whichever client API it is of."""

import pytest

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.endpoints import EndpointMatch
from jarvis_proxy.server.addresses import find_address
from tests.conftest import KEY, OPENAI_KEY


def find(path: str, method: str = "POST") -> EndpointMatch | None:
    env = {"PROXY_API_KEYS": f"tester:{KEY}", "OPENAI_API_KEY": OPENAI_KEY}
    return find_address(path, method, Settings.from_env(env))


@pytest.mark.parametrize(
    ("path", "method", "endpoint"),
    [
        ("/v1/chat/completions", "POST", "chat/completions"),
        ("/v1/responses", "POST", "responses"),
        ("/v1/messages", "POST", "messages"),
        ("/v1beta/models/gemini-3-flash:generateContent", "POST", "generateContent"),
        ("/v1/models/gemini-3-flash:countTokens", "POST", "countTokens"),
    ],
)
def test_each_api_has_its_addresses(path: str, method: str, endpoint: str) -> None:
    found = find(path, method)

    assert found is not None
    assert (found.kind, found.endpoint) == ("infer", endpoint)


@pytest.mark.parametrize(("path", "api"), [("/v1/models", "openai"), ("/v1beta/models", "google")])
def test_a_list_of_models_belongs_to_the_api_of_its_prefix(path: str, api: str) -> None:
    found = find(path, "GET")

    assert found is not None
    assert found.kind == "models"
    assert (found.api == "generate_content") == (api == "google")


def test_a_route_names_no_model() -> None:
    found = find("/v1beta/models/gemini-3-flash:generateContent")

    assert found is not None
    assert found.model_id == "gemini-3-flash"
    assert "gemini" not in found.route


def test_an_address_of_googles_that_is_not_served_says_why() -> None:
    with pytest.raises(ProxyError, match="Did you mean generateContent") as caught:
        find("/v1beta/models/gemini-3-flash:generateContents")

    assert caught.value.status == 404


def test_an_unknown_address_is_none() -> None:
    assert find("/nothing/here") is None
