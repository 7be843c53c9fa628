"""Log lines: one for each call, never with content, never in a call's way."""

import io
import json
import logging
import re
import shlex
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.observability.logging import (
    AccessLog,
    LogFormat,
    ThreadedLineWriter,
    configure_logging,
    install_handler,
)
from tests.conftest import BEARER, running_proxy
from tests.observability.log_lines import fail, logged, record, request, said
from tests.support.raw_client import connect, fetch

pytestmark = pytest.mark.slow


# One line a call


def test_call_is_one_line_of_names_and_values() -> None:
    (line,) = logged(lambda writer: AccessLog(writer, "text", 20).write(record(model="gpt 4")))

    moment, event, *pairs = shlex.split(line)
    assert (moment, event) == ("1970-01-01T00:00:00.000+00:00", "call")
    values = dict(pair.split("=", 1) for pair in pairs)
    assert values["id"] == "req_1"
    assert values["model"] == "gpt 4"
    assert values["duration_ms"] == "500.0"


def test_call_is_one_json_object() -> None:
    (line,) = logged(lambda writer: AccessLog(writer, "json", 20).write(record(model="gpt-4ü")))

    assert line.isascii()
    values = json.loads(line)
    assert (values["event"], values["id"], values["status"]) == ("call", "req_1", 200)


@pytest.mark.parametrize("route", ["/health", "/ready"])
@pytest.mark.parametrize(("level", "lines"), [(10, 1), (20, 0), (30, 0)])
def test_monitors_are_not_logged_unless_wanted(route: str, level: int, lines: int) -> None:
    found = logged(lambda writer: AccessLog(writer, "text", level).write(record(route=route)))

    assert len(found) == lines


@pytest.mark.parametrize(("level", "lines"), [(10, 1), (20, 1), (30, 0), (40, 0)])
def test_calls_are_logged_at_info(level: int, lines: int) -> None:
    found = logged(lambda writer: AccessLog(writer, "text", level).write(record()))

    assert len(found) == lines


ANYTHING = st.text(st.characters(codec=None), max_size=80)
PAIR = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|[^ "=]*)')


@given(model=ANYTHING, agent=ANYTHING, code=ANYTHING, log_format=st.sampled_from(["text", "json"]))
@settings(max_examples=300, deadline=None)
def test_whatever_a_client_says_a_call_is_one_line_that_can_be_read(
    model: str, agent: str, code: str, log_format: LogFormat
) -> None:
    stream = io.StringIO()
    writer = ThreadedLineWriter(stream)
    AccessLog(writer, log_format, 20).write(record(model=model, user_agent=agent, code=code))
    writer.close()
    text = stream.getvalue()

    assert text.isascii()
    assert text.isprintable() or text[:-1].isprintable()
    assert text.count("\n") == 1
    if log_format == "json":
        assert json.loads(text)["id"] == "req_1"
    else:
        rest = text.rstrip("\n").partition(" call")[2]
        assert PAIR.sub("", rest) == ""
        assert dict(PAIR.findall(rest))["id"] == "req_1"


AGENTS = [
    b'curl/8 "x" call id=req_forged status=200',
    b"\x1b[2J\x1b[31mred",
    b"a\tb",
    "\u2028line\u0085next".encode(),
    b"\xff\xfe",
    b"x" * 5000,
    b"",
    b"=",
    b'"',
    b"\\",
]


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_every_request_is_exactly_one_line(log_format: str) -> None:
    async with running_proxy(LOG_FORMAT=log_format, OPENAI_API_KEY="") as proxy:
        for agent in AGENTS:
            async with connect(proxy.port) as connection:
                await connection.send(request(agent))
                await connection.response()
        lines = proxy.logged().splitlines()

    assert len(lines) == len(AGENTS)
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 1024
        assert line.startswith('{"time":' if log_format == "json" else "20")


async def test_health_is_not_logged_at_info() -> None:
    async with running_proxy(LOG_LEVEL="info") as proxy:
        for path in ("/health", "/ready"):
            await fetch(proxy.port, path, method="GET")
        await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        lines = proxy.logged().splitlines()

    assert len(lines) == 1
    assert "route=/v1/models" in lines[0]


def malformed() -> None:
    logging.getLogger("aiohttp.server").error(
        "Bad header: %r", b"Authorization: Bearer canary", stack_info=True
    )


def unfit() -> None:
    logging.getLogger("jarvis_proxy.test").info("%d canary", "canary")


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("speak", [fail, malformed])
def test_library_records_are_logged_by_location_only(
    log_format: LogFormat, speak: Callable[[], None]
) -> None:
    (line,) = said(log_format, speak)

    module = speak.__module__.rpartition(".")[2]
    assert f"aiohttp.server: error at {module}:" in line
    assert "canary" not in line
    assert ("[ValueError at log_lines.py:" in line) == (speak is fail)


def test_library_records_below_info_are_dropped() -> None:
    lines = said("text", lambda: logging.getLogger("asyncio").debug("canary"))

    assert lines == []


def test_what_the_proxy_logs_is_written_as_it_is() -> None:
    def speak() -> None:
        log = logging.getLogger("jarvis_proxy.server.test")
        log.debug("debugging")
        log.warning("the upstream %s misbehaves", "openai")
        log.error("a class only", exc_info=KeyError("canary"))

    debug, warning, error = said("text", speak)

    assert debug.endswith(" debug debugging")
    assert warning.endswith(" warning the upstream openai misbehaves")
    assert error.endswith(" error a class only [KeyError]")


def test_level_is_that_of_the_settings() -> None:
    def speak() -> None:
        log = logging.getLogger("jarvis_proxy.server.test")
        log.info("quiet")
        log.warning("loud")

    assert [line.rpartition(" ")[2] for line in said("text", speak, "warning")] == ["loud"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_message_whose_values_do_not_fit_raises_nothing(
    log_format: LogFormat, capfd: pytest.CaptureFixture[str]
) -> None:
    assert said(log_format, unfit) == []
    assert "canary" not in capfd.readouterr().err


def test_other_form_and_level_keep_the_writer() -> None:
    stream = io.StringIO()
    writer, _ = configure_logging("text", "info", stream)
    log = install_handler(writer, "json", "error")
    logging.getLogger("jarvis_proxy.server.test").warning("quiet")
    logging.getLogger("jarvis_proxy.server.test").error("loud")
    log.write(record())
    writer.close()

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "loud"
