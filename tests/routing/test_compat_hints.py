"""Odd spellings: logged once for each key, and never with the key."""

import pytest

from jarvis_proxy.routing.compat_hints import CompatHints

PLAIN = ("/v1/chat/completions", "Bearer k")


@pytest.mark.parametrize(
    ("path", "authorization"),
    [
        PLAIN,
        ("/chat/completions", "bearer k"),  # the documented client's base URL
        ("/v1/models/openai/gpt-4o", "Bearer k"),
        ("/v1/chat/completions", None),  # x-api-key, api-key and the like are ordinary
        ("/v1/chat/completions", "Basic dTpw"),  # a reverse proxy's own, with x-api-key
    ],
)
def test_ordinary_spellings_are_not_spoken_of(path: str, authorization: str | None) -> None:
    assert CompatHints().hint("me", path, authorization, in_query=False) == ()


@pytest.mark.parametrize(
    ("path", "authorization", "in_query", "word"),
    [
        ("/v1/v1/chat/completions", "Bearer k", False, "/v1/v1/"),
        ("/openai/v1/models", "Bearer k", False, "/openai/v1/"),
        ("/api/v1/models", "Bearer k", False, "/api/v1/"),
        ("/v1//models", "Bearer k", False, "slash"),
        ("/v1/models/", "Bearer k", False, "slash"),
        ("/v1/models", "k", False, "'Bearer'"),
        ("/v1/models", None, True, "?key="),
    ],
)
def test_an_odd_spelling_is_named(
    path: str, authorization: str | None, in_query: bool, word: str
) -> None:
    (hint,) = CompatHints().hint("me", path, authorization, in_query=in_query)

    assert word in hint


def test_first_unusual_request_gets_every_hint() -> None:
    assert len(CompatHints().hint("me", "/v1/v1//models", "k", in_query=True)) == 4


def test_each_key_gets_hints_once() -> None:
    oddities = CompatHints()
    assert oddities.hint("me", *PLAIN, in_query=False) == ()
    assert oddities.hint("me", "/v1/models/", "Bearer k", in_query=False) != ()
    assert oddities.hint("me", "/api/v1/models", "k", in_query=True) == ()

    assert oddities.hint("you", "/v1/models/", "Bearer k", in_query=False) != ()
