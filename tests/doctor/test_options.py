"""The command line."""

import pytest

from jarvis_proxy.doctor.client_guides.registry import CLIENTS
from jarvis_proxy.doctor.net.proxy_url import ProxyUrl
from jarvis_proxy.doctor.options import Options, parse_options

EVERY = CLIENTS


def test_without_arguments_everything_local_is_asked_for() -> None:
    assert Options(None, as_json=False, clients=EVERY) == parse_options([])


def test_all_arguments_are_taken() -> None:
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
def test_another_text_is_refused_without_being_repeated(
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


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(["--help"])

    assert caught.value.code == 0
    assert "78 the settings are wrong" in capsys.readouterr().out
