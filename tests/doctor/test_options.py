"""The command line."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.client_guides import CLIENTS
from jarvis_proxy.client_guides.context import ProxyUrl
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.doctor.options import Options, parse_options, parse_proxy_url

EVERY = CLIENTS


def test_without_arguments_everything_local_is_asked_for() -> None:
    assert Options(None, as_json=False, clients=EVERY) == parse_options([])


def test_all_arguments_are_parsed() -> None:
    found = parse_options(
        ["--url", "https://my.host", "--json", "--client", "n8n", "--client", "aider"]
    )

    assert (
        Options(ProxyUrl("https", "my.host", 443), as_json=True, clients=("n8n", "aider")) == found
    )


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(["none"], ()), (["all"], EVERY), (["n8n", "all"], EVERY), (["none", "n8n"], ("n8n",))],
)
def test_clients_are_chosen_by_name(chosen: list[str], expected: tuple[str, ...]) -> None:
    arguments = [word for name in chosen for word in ("--client", name)]

    assert expected == parse_options(arguments).clients


@pytest.mark.parametrize(
    "text",
    [
        "",
        "my.host",
        "ftp://my.host",
        "https://",
        "https://user:secret@my.host",
        "https://h/?key=s",
        "https://h/#x",
        "https://h:99999",
        "https://h/a b",
        "https://[::1",
    ],
)
def test_invalid_url_is_refused_without_being_repeated(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(["--url", text])

    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "must look like https://my.host" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "arguments", [["--nope"], ["extra"], ["--client", "nope"], ["--url"], ["--u", "x"]]
)
def test_wrong_arguments_end_with_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(arguments)

    assert caught.value.code == 2
    assert "usage: python server.py doctor" in capsys.readouterr().err


def test_help_lists_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(["--help"])

    assert caught.value.code == 0
    assert "78 the settings are wrong" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected", "url"),
    [
        ("https://my.host", ProxyUrl("https", "my.host", 443), "https://my.host"),
        ("https://my.host/", ProxyUrl("https", "my.host", 443), "https://my.host"),
        ("https://my.host/v1", ProxyUrl("https", "my.host", 443), "https://my.host"),
        ("https://my.host/v1/", ProxyUrl("https", "my.host", 443), "https://my.host"),
        (
            "https://my.host/jarvis/v1",
            ProxyUrl("https", "my.host", 443, "/jarvis"),
            "https://my.host/jarvis",
        ),
        ("http://my.host:9000", ProxyUrl("http", "my.host", 9000), "http://my.host:9000"),
        ("http://my.host:443", ProxyUrl("http", "my.host", 443), "http://my.host:443"),
        (" https://My.Host:443 ", ProxyUrl("https", "my.host", 443), "https://my.host"),
        ("http://[::1]:9000", ProxyUrl("http", "::1", 9000), "http://[::1]:9000"),
    ],
)
def test_url_is_normalized(text: str, expected: ProxyUrl, url: str) -> None:
    found = parse_proxy_url(text)

    assert expected == found
    assert url == found.url


@given(st.text(max_size=30))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        found = parse_proxy_url(text)
    except argparse.ArgumentTypeError:
        return

    assert found == parse_proxy_url(found.url)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (Settings(), "http://127.0.0.1:9000"),
        (Settings(port=80), "http://127.0.0.1"),
        (Settings(tls_cert_file="c"), "https://127.0.0.1:9000"),
    ],
)
def test_url_of_a_server_follows_its_settings(settings: Settings, url: str) -> None:
    assert ProxyUrl.of_server(settings, "127.0.0.1").url == url
