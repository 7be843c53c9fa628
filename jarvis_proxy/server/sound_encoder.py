"""Sound in the formats that only ffmpeg writes: a process for each file, fed by pipes. IO.

Nothing is written to disk. A process has limits of memory, CPU time and time, and ends with the
call that needs it.
"""

import asyncio
import shutil
from collections.abc import Mapping
from typing import Final

from jarvis_proxy.dialects.chat.speech import wav_header
from jarvis_proxy.errors import ProxyError

ENCODED: Final = ("mp3", "opus", "aac", "flac", "wav", "pcm")
"""What ffmpeg makes here; the last two are needed only where the speed is changed."""

_PROGRAM: Final = "ffmpeg"
_AT_ONCE: Final = 2
_SECONDS: Final = 60.0
_RATE: Final = 24000
# Memory in KiB, CPU in seconds, no files at all. What a system does not know is passed over.
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
_SLOWEST_STEP: Final = 0.5  # of the filter atempo; slower is two steps


def find_program() -> str | None:
    """Return where ffmpeg is, or None."""
    return shutil.which(_PROGRAM)


class SoundEncoder:
    """Encodes WAV files by *program*, two at the same time; further ones wait for their turn.

    *limits* is the shell's command that sets the limits of a process and starts it; *seconds* is
    how long it may take.
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
    """Return ffmpeg's arguments: WAV comes in by a pipe, *form* goes out by one."""
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
    return "48000" if form == "opus" else str(_RATE)  # Opus knows 24,000 too, players less so


def _failed() -> ProxyError:
    message = "The proxy could not encode the sound. Ask for 'wav' or 'pcm'."
    return ProxyError(500, message, code="audio_encoding_failed", should_retry=False)
