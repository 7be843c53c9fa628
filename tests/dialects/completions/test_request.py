"""Text completions as chat requests; what is refused is tried with the SDK."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.dialects.completions.request import CompletionsDialect
from jarvis_proxy.errors import ProxyError

WRITES = ModelFeatures()


def read(*, strict: bool = False, features: ModelFeatures = WRITES, **asked: Any) -> DialectCall:
    call = Call(
        endpoint="completions",
        model="m",
        target_model="m",
        stream=False,
        body=json.dumps({"model": "m", "prompt": "Once", **asked}).encode(),
        id="x" * 24,
        created=1,
        now=0.0,
        strict_params=strict,
    )
    return CompletionsDialect().read(call, features)


def test_fields_of_a_chat_stay_and_others_go() -> None:
    client = read(n=2, google={"top_k": 3}, tools=[], best_of=2, suffix="", user="me")

    assert json.loads(client.request.body) == {
        "n": 2,
        "google": {"top_k": 3},
        "messages": [{"role": "user", "content": "Once"}],
    }
    assert client.request.ignored == ()
    assert client.request.params.param("messages[0].content") == "prompt"
    assert client.request.params.param("max_completion_tokens") == "max_tokens"


@pytest.mark.parametrize("asked", [{"logprobs": 0}, {"best_of": 2}])
def test_what_is_ignored_is_an_error_in_strict_mode(asked: dict[str, Any]) -> None:
    with pytest.raises(ProxyError) as refused:
        read(**{"strict": True, **asked})

    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", next(iter(asked)))


def test_a_prompt_is_needed() -> None:
    with pytest.raises(ProxyError) as refused:
        read(prompt=None)

    assert refused.value.code == "missing_required_parameter"


def test_models_that_speak_are_refused() -> None:
    with pytest.raises(ProxyError, match="/v1/audio/speech") as refused:
        read(features=ModelFeatures(speaks=True))

    assert (refused.value.status, refused.value.param) == (400, "model")
