"""The handshake: no key goes on, every spelling of a model is the one that is looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.dialects.realtime.handshake import forwarded_protocols, model_of, with_model
from jarvis_proxy.errors import ProxyError


def test_subprotocols_go_on_without_keys_and_accounts() -> None:
    offered = ["realtime, OpenAI-Insecure-API-Key.sk-1", "openai-project.p,x y, ,realtime,b.v1"]

    assert forwarded_protocols(offered) == ("realtime", "b.v1")
    assert len(forwarded_protocols([",".join(f"p{n}" for n in range(50))])) == 16


@pytest.mark.parametrize(
    ("query", "model"),
    [
        ("", None),
        ("intent=transcription", None),
        ("model=", None),
        ("model=a%2Fb+c", "a/b c"),
        ("x=1&mod%65l=m", "m"),
        ("MODEL=m", "m"),
    ],
)
def test_the_model_of_a_query(query: str, model: str | None) -> None:
    assert model_of(query) == model


def test_a_model_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ProxyError) as refused:
        model_of("model=a&Model=a")
    assert refused.value.code == "unsupported_parameter"


def test_the_model_is_replaced_and_the_rest_stays() -> None:
    assert with_model("x=%20&mod%65l=a&y", "b/c") == "model=b%2Fc&x=%20&y"
    assert with_model("model=a", "") == ""


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_what_is_written_is_read(model: str) -> None:
    assert model_of(with_model("model=x&y=1", model)) == model
