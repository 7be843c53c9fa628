"""Errors about the canonical request become errors about the client's own."""

from jarvis_proxy.canonical.request import SameParams, relabel
from jarvis_proxy.errors import ProxyError
from tests.canonical.fakes import Renamed


def test_an_error_names_the_clients_own_param() -> None:
    error = ProxyError(400, "Invalid 'messages': 'messages' is too long.", param="messages")
    relabel(error, Renamed())

    assert error.param == "my_messages"
    assert error.message == "Invalid 'my_messages': 'my_messages' is too long."


def test_an_error_about_no_param_stays() -> None:
    error = relabel(ProxyError(400, "The body is not valid JSON."), Renamed())

    assert (error.param, error.message) == (None, "The body is not valid JSON.")


def test_chat_clients_know_the_canonical_names() -> None:
    error = relabel(ProxyError(400, "Invalid 'n'.", param="n"), SameParams())

    assert (error.param, error.message) == ("n", "Invalid 'n'.")
