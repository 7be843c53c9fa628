"""Faults in sessions of /v1/realtime, row by row, and what both sides see. No IO."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from tests.support.both_ends import CODE, DEATHS, OFFENCES, Death

Act = Literal["talks", "is silent", "closes", "floods", "sends too much"]
"""What the client does in the session: it sends something now and then, or only listens, or closes,
or sends megabytes, or a message that is too large."""
Play = Literal["dies", "offends", "refuses", "spends", "listens", "is slow"]
"""What the upstream does."""
LIMIT: Final = 2
"""Seconds: time limits, and what may not be taken for so long."""


@dataclass(frozen=True)
class Seen:
    """What a client sees: *error* is the code of the event, or of the answer where *status* is not
    101; *close* the close code, None where there is none; -1: it was cut off."""

    status: int = 101
    error: str | None = None
    close: int | None = None

    def describe(self) -> str:
        """Return it in words, as Markdown."""
        if self.status != 101:
            return f"{self.status} `{self.error}`"
        if self.close is None:
            return "nothing: the session goes on"
        event = f"event `error` with `{self.error}`, then " if self.error else ""
        return f"{event}close {self.close}"


@dataclass(frozen=True)
class SessionRow:
    """One fault. *upstream*: the close code that the upstream sees, None where it sees none."""

    name: str
    fault: str
    sees: Seen
    upstream: int | None
    act: Act = "talks"
    play: Play = "listens"
    death: Death | None = None
    offence: str = ""
    drains: Literal["", "handshake", "open"] = ""
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class ClientRow:
    """A client at fault: it dies, or sends what is no frame. *upstream* as above."""

    name: str
    fault: str
    sees: str
    upstream: int | None
    death: Death | None = None
    offence: str = ""


_WAYS: Final = {
    "FIN": "closes the connection",
    "RST": "resets the connection",
    "half-close": "closes its half of the connection",
    "vanishes": "vanishes, with its machine or its network,",
}
_STATES: Final = {
    "half a handshake": "within the head of its handshake",
    "handshake": "during the handshake",
    "open": "in an open session",
    "in a frame": "within a frame",
    "in a message": "between two frames of a message",
    "closing": "instead of answering a close frame",
    "not reading": "after it has stopped reading and the other side has sent megabytes",
}
_OFFENCES: Final = {
    "reserved bit": "a frame with a reserved bit",
    "unknown opcode": "a frame of an unknown kind",
    "wrong close code": "a close frame with a code that may not be sent",
    "too large message": "a message above `MAX_BODY_MB`",
}


def _name(*words: str) -> str:
    return "-".join(("session", *words)).replace(" ", "-").lower()


def _sentence(death: Death) -> str:
    return f"The {death.party} {_WAYS[death.way]} {_STATES[death.state]}."


def _upstream_dies(death: Death) -> SessionRow:
    if death.state == "handshake":
        is_silent = death.way == "vanishes"
        sees = Seen(504, "upstream_timeout") if is_silent else Seen(502, "upstream_disconnected")
    else:
        sees = Seen(error=death.error, close=death.other_code)
    env = {"FIRST_BYTE_TIMEOUT": str(LIMIT)} if sees.status == 504 else {}
    acts: dict[str, Act] = {"closing": "closes", "not reading": "floods"}
    return SessionRow(
        _name("upstream", death.state, death.way),
        _sentence(death),
        sees,
        None,
        act=acts.get(death.state, "talks"),
        play="dies",
        death=death,
        env=env,
    )


def _upstream_offends(offence: str) -> SessionRow:
    is_large = offence == "too large message"
    return SessionRow(
        _name("upstream", offence),
        f"The upstream sends {_OFFENCES[offence]}.",
        Seen(error="upstream_bad_response", close=1009 if is_large else 1011),
        1009 if is_large else 1002,
        play="offends",
        offence=offence,
    )


ROWS: Final = (
    *(_upstream_dies(death) for death in DEATHS if death.party == "upstream"),
    *map(_upstream_offends, OFFENCES),
    SessionRow(
        "session-refused",
        "The upstream answers the handshake with 503.",
        Seen(503, "upstream_bad_response"),
        None,
        play="refuses",
    ),
    SessionRow(
        "session-client-too-much",
        "An SDK sends a message above `MAX_BODY_MB`.",
        Seen(error="request_too_large", close=1009),
        1001,
        act="sends too much",
    ),
    SessionRow(
        "session-silence",
        "Both sides are silent for longer than every time limit.",
        Seen(),
        1000,
        act="is silent",
        play="is slow",
    ),
    SessionRow(
        "session-budget",
        "The budget of the key is spent.",
        Seen(error="insufficient_quota", close=1008),
        1001,
        play="spends",
        env={"KEY_TESTER_BUDGET": "40 tokens/day"},
    ),
    SessionRow(
        "session-drain",
        "The server shuts down, and the session outlasts `DRAIN_TIMEOUT`.",
        Seen(error="server_shutdown", close=1012),
        1001,
        drains="open",
    ),
    SessionRow(
        "session-drain-in-the-handshake",
        "The same, before the upstream has answered the handshake.",
        Seen(503, "server_shutdown"),
        None,
        drains="handshake",
    ),
)
CLIENT_ROWS: Final = (
    *(
        ClientRow(
            _name("client", death.state, death.way),
            _sentence(death),
            "nothing: it is gone",
            None if death.state in ("half a handshake", "handshake") else death.other_code,
            death=death,
        )
        for death in DEATHS
        if death.party == "client"
    ),
    *(
        ClientRow(
            _name("client", offence),
            f"The client sends {words}.",
            "event `error` with "
            + (
                "`request_too_large`, then close 1009"
                if offence == "too large message"
                else "`bad_request`, then close 1002"
            ),
            1001,
            offence=offence,
        )
        for offence, words in _OFFENCES.items()
    ),
)
CLOSED_WITH: Final = CODE
"""The close code of a client that closes."""
