"""What a row of the fault matrix is: a fault, how it is played, and what clients see. No IO."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tests.faults.dialects import FIRST, TEXT, Surface
from tests.faults.scripts import Script

Address = Literal[
    "scripted",
    "closed port",
    "swallows packets",
    "unknown name",
    "name never resolves",
    "expired certificate",
    "wrong certificate",
    "unknown authority",
    "old TLS",
    "cut handshake",
]
"""Where a row's upstream is: a scripted one, or something that is none."""

Limits = Literal["default", "beats", "limits", "status", "total"]

SETTINGS: Final[Mapping[Limits, Mapping[str, str]]] = {
    "default": {},
    "beats": {"COMMIT_AFTER": "0.2", "HEARTBEAT_INTERVAL": "0.2"},
    "limits": {
        "COMMIT_AFTER": "0.2",
        "HEARTBEAT_INTERVAL": "0.2",
        "FIRST_BYTE_TIMEOUT": "0.8",
        "IDLE_TIMEOUT": "0.8",
    },
    "status": {"FIRST_BYTE_TIMEOUT": "0.5", "IDLE_TIMEOUT": "0.5"},
    "total": {"STREAM_TOTAL_TIMEOUT": "1"},
}
"""Time limits in seconds, scaled down from the minutes of the defaults."""


@dataclass(frozen=True)
class Sight:
    """What a client sees: a whole answer, an error in place of one, or an error behind a part.

    *text* is what has come of the answer. *should_retry* is the header, "any" where it does not
    matter. *calls* are the requests that reach the upstream; *sdk_calls* those for a client that
    says that it tries again by itself.
    """

    status: int = 200
    code: str | None = None
    text: str = TEXT
    should_retry: str | None = "any"
    retry_after: str | None = "any"
    calls: int = 1
    sdk_calls: int | None = None
    as_sent: bool = False
    """The bytes are compared with what the script sent, not with the plain good answer."""
    beats: bool = False
    finish: str = "stop"
    words: str = ""
    """What ``describe`` says, where that is not plain."""

    def calls_for(self, *, sdk: bool) -> int:
        """Return how many requests reach the upstream."""
        return self.sdk_calls if sdk and self.sdk_calls is not None else self.calls

    def describe(self) -> str:
        """Return the sight in words, as Markdown."""
        if self.words:
            return self.words
        if self.code is None:
            words = "the whole answer"
            if self.finish != "stop":
                words += f", `finish_reason: {self.finish}`"
            if self.beats:
                words += ", heartbeats in its pauses"
            return words + (", after another try unseen" if self.calls > 1 else "")
        if self.status == 200:
            text = f"error event `{self.code}`"
            return f"{text} behind what had come" if self.text else f"{text} after heartbeats"
        hints = {"true": ", retry welcome", "false": ", no retry", None: "", "any": ""}
        text = f"{self.status} `{self.code}`{hints[self.should_retry]}"
        if self.retry_after not in (None, "any"):
            text += f", `Retry-After: {self.retry_after}`"
        return text


@dataclass(frozen=True)
class Row:
    """One fault on the surfaces where it can happen."""

    name: str
    fault: str
    cases: Mapping[Surface, tuple[Script, Sight]]
    address: Address = "scripted"
    limits: Limits = "default"
    keys: int = 1
    """Keys that the proxy has for this upstream."""
    times: int = 1
    """Calls one after the other, of which the last one counts."""
    fresh: bool = False
    """It must not meet a connection that another row left in the pool."""
    retried: bool = False
    """The proxy may try again, and a budget limits how many calls may at the same time."""


STREAMS: Final[tuple[Surface, ...]] = ("chat", "responses", "gemini")
OPENAI_STREAMS: Final[tuple[Surface, ...]] = ("chat", "responses")
ALL: Final[tuple[Surface, ...]] = ("chat", "whole", "responses", "gemini")


def on(
    surfaces: tuple[Surface, ...], script: Script, sight: Sight
) -> dict[Surface, tuple[Script, Sight]]:
    """Return the same case for several surfaces."""
    return dict.fromkeys(surfaces, (script, sight))


def refused(
    status: int,
    code: str,
    should_retry: str | None = "any",
    *,
    retry_after: str | None = "any",
    calls: int = 1,
    sdk_calls: int | None = None,
) -> Sight:
    """Return the sight of an error in place of an answer."""
    return Sight(
        status,
        code,
        "",
        should_retry=should_retry,
        retry_after=retry_after,
        calls=calls,
        sdk_calls=sdk_calls,
    )


def broken(code: str, text: str = FIRST, *, beats: bool = False) -> Sight:
    """Return the sight of an error event behind a part of the answer."""
    return Sight(200, code, text, beats=beats)


WHOLE_ANSWER: Final = Sight()
