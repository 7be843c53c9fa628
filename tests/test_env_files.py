"""Broken .env files, each as a user would leave it: exit code 78, one message, no value in it.

All servers are started once, several at a time; the tests look at what came of it.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server_process import clean_environ, make_project

pytestmark = pytest.mark.slow

CANARY = "canary"
"""Stands in every value that is wrong; no message may show it."""
KEYS = "PROXY_API_KEYS=good-key-0123456789abcdef\n"
NUMBERS = (
    "PORT",
    "MAX_BODY_MB",
    "CONNECT_TIMEOUT",
    "FIRST_BYTE_TIMEOUT",
    "IDLE_TIMEOUT",
    "HEARTBEAT_INTERVAL",
    "DRAIN_TIMEOUT",
    "WORKERS",
    "MAX_STREAMS",
    "MAX_CONNECTIONS",
    "MAX_JSON_DEPTH",
)
CHOICES = ("PASSTHROUGH", "IMAGE_URLS", "LOG_LEVEL", "LOG_FORMAT", "STRICT_PARAMS")


@dataclass(frozen=True)
class Broken:
    """*text* is the file, *named* what the message must name."""

    text: bytes
    named: str


def _of(text: str, named: str) -> Broken:
    return Broken((KEYS + text).encode(), named)


BROKEN: dict[str, Broken] = {
    **{f"{name} is a word": _of(f"{name}={CANARY}\n", name) for name in NUMBERS},
    **{f"{name} is unknown": _of(f"{name}={CANARY}\n", name) for name in CHOICES},
    "nothing": Broken(b"", "PROXY_API_KEYS"),
    "comments only": Broken(b"# PROXY_API_KEYS=canary\n\n", "PROXY_API_KEYS"),
    "no client key": Broken(b"PROXY_API_KEYS=\n", "PROXY_API_KEYS"),
    "commas for client keys": Broken(b"PROXY_API_KEYS=,,\n", "PROXY_API_KEYS"),
    "client key with a space": Broken(b"PROXY_API_KEYS=canary key\n", "PROXY_API_KEYS"),
    "client key beyond ascii": Broken("PROXY_API_KEYS=canaryé\n".encode(), "PROXY_API_KEYS"),
    "digest too short": Broken(b"PROXY_API_KEYS=sha256:ca4a57\n", "PROXY_API_KEYS"),
    "port 0": _of("PORT=0\n", "PORT"),
    "port 65536": _of("PORT=65536\n", "PORT"),
    "port below 0": _of("PORT=-9000\n", "PORT"),
    "port with a dot": _of("PORT=9000.0\n", "PORT"),
    "port in arabic digits": _of("PORT=٩٠٠٠\n", "PORT"),
    "host is a url": _of(f"HOST=http://{CANARY}/\n", "HOST"),
    "host with a port": _of(f"HOST={CANARY}:9000\n", "HOST"),
    "timeout 0": _of("IDLE_TIMEOUT=0\n", "IDLE_TIMEOUT"),
    "timeout nan": _of("IDLE_TIMEOUT=nan\n", "IDLE_TIMEOUT"),
    "timeout with its unit": _of("IDLE_TIMEOUT=5s\n", "IDLE_TIMEOUT"),
    "upstream is no url": _of(f"OPENAI_BASE_URL={CANARY}\n", "OPENAI_BASE_URL"),
    "upstream is a file": _of(f"OPENAI_BASE_URL=file:///{CANARY}\n", "OPENAI_BASE_URL"),
    "gemini is no url": _of(f"GEMINI_BASE_URL=ftp://{CANARY}\n", "GEMINI_BASE_URL"),
    "upstream without its url": _of("UPSTREAMS=extra\nEXTRA_API_KEY=canary\n", "EXTRA_BASE_URL"),
    "upstream key with a line end": _of('OPENAI_API_KEY="canary\\nx"\n', "OPENAI_API_KEY"),
    "alias without a target": _of(f"MODEL_ALIASES={CANARY}\n", "MODEL_ALIASES"),
    "alias to nowhere": _of(f"MODEL_ALIASES=a={CANARY}/model\n", "MODEL_ALIASES"),
    "fallback without a target": _of(f"FALLBACKS={CANARY}\n", "FALLBACKS"),
    "network that is none": _of(f"TRUSTED_PROXIES={CANARY}\n", "TRUSTED_PROXIES"),
    "network with host bits": _of("TRUSTED_PROXIES=10.0.0.1/8/8\n", "TRUSTED_PROXIES"),
    "origin that is none": _of(f"CORS_ORIGINS={CANARY} {CANARY}\n", "CORS_ORIGINS"),
    "redis is no url": _of(f"REDIS_URL={CANARY}\n", "REDIS_URL"),
    "proxy is no url": _of(f"UPSTREAM_PROXY=gopher://u:{CANARY}@x\n", "UPSTREAM_PROXY"),
    "workers without redis": _of("WORKERS=4\n", "WORKERS"),
    "certificate alone": _of("TLS_CERT_FILE=.env\n", "TLS_KEY_FILE"),
    "certificate that is gone": _of(
        f"TLS_CERT_FILE=/{CANARY}.pem\nTLS_KEY_FILE=/{CANARY}.pem\n", "TLS_CERT_FILE"
    ),
    "certificate that is none": _of("TLS_CERT_FILE=.env\nTLS_KEY_FILE=.env\n", "TLS_CERT_FILE"),
    "body larger than all bodies": _of("MAX_BODY_MB=512\n", "MAX_INFLIGHT_MB"),
    "set twice, differently": _of("PORT=9000\nPORT=9001\n", "line 3"),
    "line without an equals sign": _of(f"{CANARY}\n", "line 2"),
    "open quote": _of(f'OPENAI_API_KEY="{CANARY}\n', "line 2"),
    "text behind a quote": _of(f'OPENAI_API_KEY="{CANARY}"{CANARY}\n', "line 2"),
    "yaml": _of(f"OPENAI_API_KEY: {CANARY}\n", "line 2"),
    "json": Broken(b'{"PROXY_API_KEYS": "canary"}\n', "line 1"),
    "shell": _of(f"if true; then OPENAI_API_KEY={CANARY}; fi\n", "line 2"),
    "utf-16": Broken((KEYS + CANARY).encode("utf-16"), "UTF-16"),
    "latin-1": Broken(KEYS.encode() + b"# caf\xe9 canary\n", "line 2"),
    "nul": _of(f"OPENAI_API_KEY={CANARY}\0\n", "line 2"),
    "binary": Broken(bytes(range(128, 256)) * 8, "line 1"),
    "2 mb": _of("#" * 2**21, "1 MB"),
}

GOOD = {
    "byte order mark": b"\xef\xbb\xbf" + KEYS.encode(),
    "windows line ends": KEYS.replace("\n", "\r\n").encode() + b"LOG_LEVEL=debug\r\n",
    "comments, quotes, export": b'# x\nexport PROXY_API_KEYS="good-key-0123456789" # y\n',
    "the example of the documents": (
        b"PROXY_API_KEYS=jarvis-local-secret # change it\n"
        b"OPENAI_API_KEY=sk-xxx # from OpenAI\nGEMINI_API_KEY=AIzaSyxxx\n"
    ),
}


@dataclass(frozen=True)
class Outcome:
    """How a start ended."""

    code: int
    printed: str
    complaint: str
    seconds: float


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """Start a server on each file; those that would serve find their port in use."""
    folder = tmp_path_factory.mktemp("files")
    files = {name: broken.text for name, broken in BROKEN.items()} | GOOD
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        def start(number: int, text: bytes) -> Outcome:
            return _start(make_project(folder / str(number), text), port)

        with ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1) as pool:
            found = pool.map(start, range(len(files)), files.values())
            yield dict(zip(files, found, strict=True))


def _start(project: Path, port: int) -> Outcome:
    began = time.monotonic()
    # A port in the environment would hide the one in the file.
    has_port = b"PORT" in (project / ".env").read_bytes()
    env = clean_environ({"HOST": "127.0.0.1"} if has_port else {"PORT": str(port)})
    if b"HOST" in (project / ".env").read_bytes():
        env.pop("HOST", None)
    ended = subprocess.run(
        [sys.executable, "server.py"], cwd=project, env=env, capture_output=True, timeout=60
    )
    return Outcome(
        ended.returncode,
        ended.stdout.decode(),
        ended.stderr.decode(),
        time.monotonic() - began,
    )


def test_there_are_forty_ways_to_be_wrong() -> None:
    assert len(BROKEN) >= 40


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_78_and_one_message_without_values(
    case: str, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes[case]

    assert outcome.code == 78, outcome.complaint
    assert outcome.printed == ""
    first, *problems = outcome.complaint.splitlines()
    assert first == "Invalid settings; fix them in .env:"
    assert len(problems) >= 1
    assert all(problem.startswith("  - ") for problem in problems)
    assert any(BROKEN[case].named in problem for problem in problems)
    assert CANARY not in outcome.complaint.lower()
    assert "ca4a57" not in outcome.complaint
    assert "good-key" not in outcome.complaint
    assert "Traceback" not in outcome.complaint


@pytest.mark.parametrize("case", GOOD)
def test_an_odd_file_that_is_right_is_taken(case: str, outcomes: dict[str, Outcome]) -> None:
    """It gets as far as the port, which is in use."""
    outcome = outcomes[case]

    assert outcome.code == 1, outcome.complaint
    assert "address already in use" in outcome.complaint
    assert "good-key" not in outcome.complaint


def test_a_refusal_is_quick(outcomes: dict[str, Outcome]) -> None:
    """Half of them within a second, on a machine that does other things too."""
    times = sorted(outcomes[case].seconds for case in BROKEN)

    assert times[len(times) // 2] < 2


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    text = KEYS + "".join(f"{name}={CANARY}\n" for name in NUMBERS)
    outcome = _start(make_project(tmp_path / "p", text), 1)

    assert outcome.code == 78
    assert len(outcome.complaint.splitlines()) == 1 + len(NUMBERS)
    assert all(f"  - {name}: " in outcome.complaint for name in NUMBERS)


def test_a_folder_in_place_of_the_file_is_reported(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    (project / ".env").mkdir()
    outcome = _start_without_file(project)

    assert outcome.returncode == 78
    assert ".env: cannot be read" in outcome.stderr


def test_an_unknown_argument_is_reported(tmp_path: Path) -> None:
    outcome = _start_without_file(make_project(tmp_path / "p"), "canary")

    assert outcome.returncode == 2
    assert "usage: python server.py" in outcome.stderr


def _start_without_file(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "server.py", *arguments],
        cwd=project,
        env=clean_environ({}),
        capture_output=True,
        text=True,
        timeout=60,
    )
