"""OpenAI's official SDK for Node on what Gemini hears, says, draws and goes on with."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import KEY, running_proxy
from tests.faults.node import Missing, home
from tests.support.google_media import SAMPLES, blob, frame
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.node

Json = dict[str, Any]
SCRIPT = Path(__file__).resolve().parent / "node" / "media.mjs"
PICTURE = blob(b"\x89PNG", "image/png")
LIMITED = {"error": "RateLimitError", "status": 429, "code": "rate_limit_exceeded"}
BLOCKED = {"error": "BadRequestError", "status": 400, "code": "moderation_blocked"}
CUT = {"error": "APIError", "status": None, "code": "upstream_truncated"}


async def gemini(peer: Peer, request: Received) -> None:
    """Answer with what is asked for: sound, a sketch and a picture, or text."""
    body, sent = json.loads(request.body), request.body.decode()
    if "is-refused" in sent:
        error = {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}
        await peer.reply(json.dumps({"error": error}).encode(), 429)
        return
    kinds = body.get("generationConfig", {}).get("responseModalities", [])
    frames = [frame([{"text": "in a "}]), frame([{"text": "land."}], "STOP")]
    if "AUDIO" in kinds:
        frames = [frame([blob(SAMPLES)]), frame([], "STOP")]
    if "IMAGE" in kinds:
        frames = [frame([{**PICTURE, "thought": True}]), frame([PICTURE], "STOP")]
    if "is-blocked" in sent:
        frames = [frame([], "IMAGE_SAFETY")]
    if ":streamGenerateContent" not in request.path:
        parts = [part for one in frames for part in one["candidates"][0]["content"]["parts"]]
        finish = frames[-1]["candidates"][0]["finishReason"]
        await peer.reply(json.dumps(frame(parts, finish)).encode())
        return
    await peer.head()
    for one in frames:
        await peer.chunk(b"data: " + json.dumps(one).encode() + b"\r\n\r\n")
        if "breaks" in sent:
            peer.close()
            return
    await peer.last_chunk()


async def played() -> Json:
    """Return what the SDK saw in each scenario."""
    try:
        folder = home()
    except Missing as exc:
        pytest.skip(str(exc))
    upstream = RawUpstream(gemini, base_path="/v1beta")
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        process = await asyncio.create_subprocess_exec(
            *("node", str(SCRIPT), proxy.url, KEY),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 0, err.decode()
    outcomes: Json = json.loads(out)
    return outcomes


async def test_sound_text_and_pictures() -> None:
    seen = await played()

    assert seen["speech"] == len(SAMPLES) + 44
    assert seen["speechStreamed"] == len(SAMPLES)
    assert "error" in seen["speechBroken"]
    assert seen["speechRefused"] == seen["transcriptRefused"] == LIMITED
    deltas = ["transcript.text.delta"] * 2
    assert seen["transcript"] == seen["completion"] == "in a land."
    assert seen["transcriptStreamed"] == [*deltas, "transcript.text.done"]
    assert seen["transcriptBroken"] == seen["completionBroken"] == seen["imageBroken"] == CUT
    assert seen["image"] == ["b64_json"]
    kinds = ["image_generation.partial_image", "image_generation.completed"]
    assert seen["imageStreamed"] == kinds
    assert seen["imageBlocked"] == seen["editBlocked"] == BLOCKED
    assert seen["edit"] == "png"
    assert seen["editStreamed"] == ["image_edit.completed"]
    assert seen["completionStreamed"] == ["in a ", "land.", ""]
    assert seen["completionRefused"] == LIMITED
