"""ffmpeg as a process: its formats, limits, failures and end."""

import asyncio
import shutil
from pathlib import Path

import pytest

from jarvis_proxy.dialects.chat.speech import wav_header
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.sound_encoder import SoundEncoder, arguments, find_program
from tests.support.eventually import eventually
from tests.support.google_media import SAMPLES

pytestmark = pytest.mark.slow

WAV = wav_header(24000, len(SAMPLES)) + SAMPLES
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def script(folder: Path, text: str) -> str:
    """Return a program that stands in for ffmpeg."""
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("mp3", b"\xff"),
        ("opus", b"OggS"),
        ("aac", b"\xff\xf1"),
        ("flac", b"fLaC"),
        ("wav", b"RIFF"),
    ],
)
async def test_formats(form: str, start: bytes) -> None:
    assert (await SoundEncoder(find_program()).encode(WAV, form)).startswith(start)


@needs_ffmpeg
async def test_samples_come_back_unchanged() -> None:
    assert await SoundEncoder(find_program()).encode(WAV, "pcm") == SAMPLES


@needs_ffmpeg
async def test_what_is_no_sound_is_an_error() -> None:
    with pytest.raises(ProxyError) as error:
        await SoundEncoder(find_program()).encode(b"#EXTM3U\nfile:///etc/passwd", "wav")

    assert (error.value.status, error.value.code) == (500, "audio_encoding_failed")


@pytest.mark.parametrize("program", [None, "/nowhere/ffmpeg"])
async def test_a_program_that_is_not_there_is_an_error(program: str | None) -> None:
    with pytest.raises(ProxyError, match="could not encode"):
        await SoundEncoder(program).encode(WAV, "mp3")


async def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    slow = script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600")
    pid = tmp_path / "pid"
    # Limits of file sizes forbid the script to write: they are tested below.
    encoder = SoundEncoder(slow, seconds=0.5, limits='exec "$0" "$@"')
    with pytest.raises(ProxyError, match="could not encode"):
        await encoder.encode(WAV, "mp3")
    process = Path("/proc") / pid.read_text().strip()

    await eventually(lambda: not process.exists())


async def test_it_has_limits_and_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    tell = "cat >/dev/null; ulimit -v; ulimit -t; ulimit -f; ulimit -c; env"
    said = (await SoundEncoder(script(tmp_path, tell)).encode(WAV, "pcm")).decode()

    assert said.split()[:4] == ["1048576", "60", "0", "0"]
    assert "sk-secret" not in said


async def test_two_run_at_once_and_others_wait(tmp_path: Path) -> None:
    running, counts, go = (tmp_path / name for name in ("running", "counts", "go"))
    running.mkdir()
    work = (
        f"touch {running}/$$; ls {running} | wc -l >> {counts}\n"
        f"until [ -e {go} ]; do sleep 0.01; done; cat; rm {running}/$$"
    )
    encoder = SoundEncoder(script(tmp_path, work), limits='exec "$0" "$@"')
    jobs = [asyncio.create_task(encoder.encode(WAV, "pcm")) for _ in range(6)]
    await eventually(lambda: len(list(running.iterdir())) == 2, 30)
    go.touch()

    assert await asyncio.gather(*jobs) == [WAV] * 6
    assert max(map(int, counts.read_text().split())) == 2


@pytest.mark.parametrize(
    ("speed", "steps"),
    [(2.0, "atempo=2.0000"), (0.4, "atempo=0.5,atempo=0.8000"), (0.25, "atempo=0.5,atempo=0.5000")],
)
def test_speed_is_made_of_steps_that_the_filter_takes(speed: float, steps: str) -> None:
    given = arguments("mp3", speed)

    assert given[given.index("-af") + 1] == steps
    assert "-af" not in arguments("mp3", 1.0)
