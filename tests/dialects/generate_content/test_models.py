"""Lists of models in Google's form."""

import json
from typing import Any

import pytest
from google.genai import types as genai

from jarvis_proxy.dialects.generate_content.models import model_list, model_object
from jarvis_proxy.errors import ProxyError
from tests.support.recordings import recordings

NATIVE = (
    b'{"name":"models/gemini-3-flash","version":"3","displayName":"Gemini 3 Flash",'
    b'"inputTokenLimit":1048576,"supportedGenerationMethods":["generateContent"],"thinking":true}'
)
MODELS = [("gemini-3-flash", NATIVE), ("fast", NATIVE), ("openai/gpt-4.1-mini", b"")]


def listed(query: str = "", models: Any = MODELS) -> Any:
    return json.loads(model_list(models, query))


def test_googles_own_entries_stay_and_aliases_are_added() -> None:
    first, second, _ = listed()["models"]

    assert first == json.loads(NATIVE)
    assert second == {**json.loads(NATIVE), "name": "models/fast"}


def test_other_models_show_their_methods_and_no_limits() -> None:
    assert json.loads(model_object("openai/gpt-4.1-mini", b"")) == {
        "name": "models/openai/gpt-4.1-mini",
        "version": "",
        "displayName": "openai/gpt-4.1-mini",
        "description": "",
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    embeds = json.loads(model_object("text-Embedding-3", b""))
    assert embeds["supportedGenerationMethods"] == ["embedContent", "batchEmbedContents"]


def test_pages_are_as_long_as_asked_and_lead_on() -> None:
    names, token = [], ""
    for _ in range(3):
        page = listed(f"pageSize=1&pageToken={token}&key=x")
        names += [model["name"] for model in page["models"]]
        token = page.get("nextPageToken", "")

    assert names == ["models/gemini-3-flash", "models/fast", "models/openai/gpt-4.1-mini"]
    assert token == ""


@pytest.mark.parametrize("size", ["", "0", "x", "-1", "1001", "9" * 5000])
def test_a_page_has_a_thousand_at_most(size: str) -> None:
    page = listed(f"pageSize={size}", [(f"m{number}", b"") for number in range(1001)])

    assert len(page["models"]) == 1000
    assert len(listed(f"pageToken={page['nextPageToken']}", MODELS)["models"]) == 0


@pytest.mark.parametrize("token", ["x", "%2B", "YWJj", "8J-Yig=="])
def test_a_token_of_somebody_else_is_refused(token: str) -> None:
    with pytest.raises(ProxyError) as caught:
        listed(f"pageToken={token}")

    assert (caught.value.status, caught.value.param) == (400, "pageToken")


@pytest.mark.parametrize(("name", "native"), MODELS)
def test_googles_types_take_each_entry(name: str, native: bytes) -> None:
    entry = json.loads(model_object(name, native))

    assert genai.Model.model_validate({"name": entry["name"]}).name == f"models/{name}"


@pytest.mark.parametrize("recording", recordings("gemini"))
def test_recorded_entries_stay_as_they_are(recording: dict[str, Any]) -> None:
    if recording["kind"] != "models":
        return
    for entry in recording["response"]["body"]["models"]:
        name = entry["name"].removeprefix("models/")
        assert json.loads(model_object(name, json.dumps(entry).encode())) == entry
