"""Recorded answers, translated by a running proxy, as the official SDKs for Node read them."""

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from tests.conftest import KEY, running_proxy
from tests.faults.node import Missing, home
from tests.support import plain_readings
from tests.support.crossings import (
    GOOGLE,
    MESSAGES,
    RESPONSES,
    SOURCES,
    answer_for,
    answered,
    upstream,
)
from tests.support.plain_readings import Reading
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.recordings import MISSING, WIRE, response_of

pytestmark = [
    pytest.mark.node,
    pytest.mark.no_cover,
    pytest.mark.skipif(not WIRE.is_dir(), reason=MISSING),
]

Json = dict[str, Any]

SCRIPT = Path(__file__).resolve().parent / "node" / "readings.mjs"
MODELS = {"anthropic": "claude-opus-4-8", "chat": "up-1", "gemini": "gemini-3-flash-preview"}
BASE_PATHS = {"anthropic": "", "chat": "/v1", "gemini": "/v1beta"}
PIECE = 701
_IMAGE = re.compile(r"!\[image\]\([^)]*\)")


class Player:
    """An upstream that plays the recording whose number stands in the question."""

    def __init__(self, recordings: list[Json], base_path: str) -> None:
        self._recordings = recordings
        self.upstream = RawUpstream(self._play, base_path=base_path)

    async def _play(self, peer: Peer, request: Received) -> None:
        number = re.search(rb"recording (\d+)", request.body)
        assert number is not None
        recording = self._recordings[int(number[1])]
        body, content_type = response_of(recording)
        if "sse" not in recording["response"]:
            await peer.reply(body, content_type=content_type)
            return
        await peer.head(content_type=content_type)
        for at in range(0, len(body), PIECE):
            await peer.chunk(body[at : at + PIECE])
        await peer.last_chunk()


@pytest.mark.parametrize(
    ("folder", "kind", "source", "apis", "count"),
    SOURCES,
    ids=[row[2] for row in SOURCES],
)
async def test_the_sdks_for_node_read_what_every_answer_says(
    folder: str, kind: str, source: str, apis: tuple[str, ...], count: int
) -> None:
    try:
        home()
    except Missing as exc:
        pytest.skip(str(exc))
    recordings = [one for one in answered(folder, kind) if is_answer(one, source, apis[0])]

    seen = await readings(recordings, source, apis)

    differing = {
        f"{recording['id']} for {api}": found
        for number, recording in enumerate(recordings)
        for api in apis
        if (found := differences(api, seen[f"{api} {number}"], plain_readings.read(recording)))
    }
    assert differing == {}
    assert len(recordings) == count


def is_answer(recording: Json, source: str, api: str) -> bool:
    """Return whether a recording is an answer for clients, and no failure."""
    try:
        answer_for(api, recording, upstream(source))
    except ProxyError:
        return False
    return True


async def readings(recordings: list[Json], source: str, apis: tuple[str, ...]) -> dict[str, Json]:
    """Return what the SDK of each API reads of each recording, by ``API NUMBER``."""
    calls = [
        {
            "id": f"{api} {number}",
            "api": api,
            "model": MODELS[source],
            "prompt": f"recording {number}",
            "stream": "sse" in recording["response"],
        }
        for number, recording in enumerate(recordings)
        for api in apis
    ]
    async with (
        Player(recordings, BASE_PATHS[source]).upstream.running() as service,
        running_proxy(
            gemini=service.base_url,
            ANTHROPIC_BASE_URL=service.base_url,
            ANTHROPIC_API_KEY="sk-ant-canary-0123456789",
            UPSTREAMS="up",
            UP_BASE_URL=service.base_url,
            UP_API_KEY="sk-up-canary-0123456789",
            UP_MODELS="up-*",
            UP_APIS="chat",
        ) as proxy,
    ):
        return await run_sdks(proxy.url, calls)


async def run_sdks(url: str, calls: list[Json]) -> dict[str, Json]:
    """Return what the SDKs read, by the calls' ids."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), url, KEY),
        cwd=home(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(json.dumps(calls).encode()), 150)
    assert process.returncode == 0, err.decode()
    found: dict[str, Json] = json.loads(out)
    return found


def differences(api: str, seen: Json, expected: Reading) -> Json:
    """Return what an SDK read and what should be read, where these differ."""
    if "error" in seen:
        return seen
    if api == MESSAGES:  # it has no place for pictures, and none for a refusal but the text
        is_refused = not expected.text and expected.finish == "content_filter"
        seen["text"] = "" if is_refused else _IMAGE.sub("", seen["text"])
    if api in (RESPONSES, GOOGLE) and expected.calls and expected.finish == "stop":
        expected = expected._replace(finish="tool_calls")  # they tell it by the calls alone
    if api != RESPONSES:  # only there arguments can be free text, as those of a custom tool
        free = [name for name, given in expected.calls if isinstance(given, str)]
        seen["calls"] = [
            [name, next(iter(given.values()))] if name in free else [name, given]
            for name, given in seen["calls"]
        ]
    wanted: Json = json.loads(json.dumps(expected._asdict()))
    return {key: (seen[key], wanted[key]) for key in wanted if seen[key] != wanted[key]}
