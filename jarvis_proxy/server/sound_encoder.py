"""Audio formats that only ffmpeg can write: one process per file, with pipes. IO.

Nothing is written to disk. A process has limits on memory, CPU time and duration, and ends with its
call.
"""

import asyncio
import shutil
from collections.abc import Mapping
from typing import Final

from jarvis_proxy.dialects.chat.speech import wav_header
from jarvis_proxy.errors import ProxyError

ENCODED: Final = ("mp3", "opus", "aac", "flac", "wav", "pcm")
"""The formats that ffmpeg writes; the last two are only needed for a change of speed."""

_PROGRAM: Final = "ffmpeg"
_AT_ONCE: Final = 2
_SECONDS: Final = 60.0
_RATE: Final = 24000
# Memory in KiB, CPU time in seconds, and no files. Limits that a system lacks are skipped.
_LIMITED: Final = (
    'ulimit -v 1048576; ulimit -t 60; ulimit -f 0; ulimit -c 0; exec "$0" "$@" 2>/dev/null'
)
_CODECS: Final[Mapping[str, tuple[str, ...]]] = {
    "mp3": (
        "-c:a",
        "libmp3lame",
        "-b:a",
        "128k",
        "-write_xing",
        "0",
        "-id3v2_version",
        "0",
        "-f",
        "mp3",
    ),
    "opus": ("-c:a", "libopus", "-b:a", "64k", "-f", "ogg"),
    "aac": ("-c:a", "aac", "-b:a", "128k", "-f", "adts"),
    "flac": ("-c:a", "flac", "-f", "flac"),
    "wav": ("-c:a", "pcm_s16le", "-f", "s16le"),
    "pcm": ("-c:a", "pcm_s16le", "-f", "s16le"),
}
_SLOWEST_STEP: Final = 0.5
"""The slowest tempo of the filter atempo; a slower one takes two steps."""


def find_program() -> str | None:
    """Return the path of ffmpeg, or None."""
    return shutil.which(_PROGRAM)


class SoundEncoder:
    """Encodes WAV files with *program*, two at a time; others wait for their turn.

    *limits* is the shell command that sets a process's limits and starts it; *seconds* is how long
    it may take.
    """

    __slots__ = ("_limits", "_program", "_seconds", "_turns")

    def __init__(
        self, program: str | None, *, seconds: float = _SECONDS, limits: str = _LIMITED
    ) -> None:
        self._program = program
        self._limits = limits
        self._seconds = seconds
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def encode(self, wav: bytes, form: str, speed: float = 1.0) -> bytes:
        """Return *wav* in the format *form*, played *speed* times as fast.

        Raises:
            ProxyError: 500 `audio_encoding_failed`, ffmpeg failed or took too long.
        """
        async with self._turns:
            process = await self._start(form, speed)
            try:
                async with asyncio.timeout(self._seconds):
                    sound, _ = await process.communicate(wav)
                    is_done = await process.wait() == 0 and bool(sound)
            except TimeoutError:
                is_done, sound = False, b""
            finally:
                if process.returncode is None:
                    process.kill()
        if not is_done:
            raise _failed()
        return wav_header(_RATE, len(sound)) + sound if form == "wav" else sound

    async def _start(self, form: str, speed: float) -> asyncio.subprocess.Process:
        if self._program is None:
            raise _failed()
        try:
            return await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                self._limits,
                self._program,
                *arguments(form, speed),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
            )
        except OSError:
            raise _failed() from None


def arguments(form: str, speed: float) -> list[str]:
    """Return ffmpeg's arguments for reading WAV from a pipe and writing *form* to a pipe."""
    given = ["-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "pipe"]
    given += ["-threads", "1", "-f", "wav", "-i", "pipe:0", "-vn", "-map_metadata", "-1"]
    if speed != 1:
        given += ["-af", _tempo(speed)]
    return [*given, "-ac", "1", "-ar", _rate(form), *_CODECS[form], "-threads", "1", "pipe:1"]


def _tempo(speed: float) -> str:
    steps = []
    while speed < _SLOWEST_STEP:
        steps.append(f"atempo={_SLOWEST_STEP}")
        speed /= _SLOWEST_STEP
    return ",".join([*steps, f"atempo={speed:.4f}"])


def _rate(form: str) -> str:
    # Opus also allows 24,000 Hz, but players support that less well.
    return "48000" if form == "opus" else str(_RATE)


def _failed() -> ProxyError:
    message = "The proxy could not encode the sound. Ask for 'wav' or 'pcm'."
    return ProxyError(500, message, code="audio_encoding_failed", should_retry=False)
