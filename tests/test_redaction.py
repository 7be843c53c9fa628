"""Keys are found however they are spelled, and nothing else is taken for one."""

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.redaction import REDACTED, Secrets

KEYS = {
    "openai": "sk-proj-Q7abcdefghij0123456789KLMNOPQRSTUVWXYZ",
    "google": "AIzaSyQ7abcdefghij0123456789KLMNOP",
    "groq": "gsk_Q7abcdefghij0123456789KLMNOPQRST",
    "with slashes": "tok/Q7abcdef+ghij/0123456789==",
    "jwt": "eyJhbGciOi.Q7abcdef.ghij0123456789-_x",
    "eight": "Q7abcde9",
    "a word and a digit": "letmein1",
}
TEXT = 'The key {} is wrong, see the page.\n"quoted" ü 🦀 \\ %zz &co;'


def nested(text: str) -> str:
    return json.dumps(json.dumps(text).replace("/", "\\/")).replace("/", "\\/")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "capitals": str.upper,
    "small": str.lower,
    "slashes as PHP has them": lambda key: key.replace("/", "\\/"),
    "one letter as \\u": lambda key: key[:5] + f"\\u{ord(key[5]):04x}" + key[6:],
    "all letters as \\u": lambda key: "".join(f"\\u{ord(c):04X}" for c in key),
    "all letters as \\x": lambda key: "".join(f"\\x{ord(c):02x}" for c in key),
    "all letters as \\u{}": lambda key: "".join(f"\\u{{{ord(c):x}}}" for c in key),
    "percent": lambda key: quote(key, safe=""),
    "every letter percent": lambda key: "".join(f"%{ord(c):02x}" for c in key),
    "percent twice": lambda key: quote("".join(f"%{ord(c):02x}" for c in key), safe=""),
    "HTML": html.escape,
    "HTML, decimal": lambda key: "".join(f"&#{ord(c)};" for c in key),
    "HTML, hexadecimal": lambda key: "".join(f"&#x{ord(c):X};" for c in key),
    "JSON in JSON": nested,
    "JSON in JSON in JSON": lambda key: nested(nested(key)),
    "\\u in JSON": lambda key: json.dumps("".join(f"\\u{ord(c):04x}" for c in key)),
    "percent in JSON as \\u": lambda key: "".join(f"\\u0025{ord(c):02x}" for c in key),
    "escaped for a pattern": re.escape,
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 of a longer text": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(f"a:{key}".encode()).decode(),
    "hexadecimal": lambda key: key.encode().hex(),
}
PARTS = {
    "whole": slice(None),
    "first eight": slice(8),
    "last eight": slice(-8, None),
    "middle": slice(6, 18),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_found_in_every_spelling(name: str, spelling: str) -> None:
    key = KEYS[name]
    spelled = SPELLINGS[spelling](key)
    before, after = TEXT.split("{}")

    hidden = Secrets(KEYS.values()).redact(before + spelled + after)

    assert hidden.startswith(before)
    assert hidden.endswith(after)
    assert REDACTED in hidden
    left = hidden[len(before) : -len(after)].replace(REDACTED, "")
    # Padding, and what stood before it in base64.
    assert len(left.replace("\\", "").replace('"', "")) <= 10
    for start in range(len(spelled) - 23):
        assert spelled[start : start + 24] not in hidden


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["openai", "google", "groq", "with slashes", "jwt"])
@pytest.mark.parametrize("spelling", ["as it is", "capitals", "all letters as \\u", "percent"])
def test_a_part_of_eight_characters_is_found(name: str, part: str, spelling: str) -> None:
    piece = KEYS[name][PARTS[part]]
    for shift in range(8):  # it may stand at any place of a text
        before = "#" * shift

        assert Secrets([KEYS[name]]).redact(f"{before}{SPELLINGS[spelling](piece)} ok") == (
            f"{before}{REDACTED} ok"
        )


def test_a_key_in_two_pieces_is_found_twice_and_seven_characters_stay() -> None:
    key = KEYS["groq"]
    secrets = Secrets([key])

    assert secrets.redact(f"{key[:9]} {key[9:]}") == f"{REDACTED} {REDACTED}"
    assert secrets.redact(f"{key[:7]}...{key[-7:]}") == f"{key[:7]}...{key[-7:]}"


@pytest.mark.parametrize("word", ["ollama", "lm-studio", "not-needed", "no_key", "", "x1"])
def test_a_word_in_place_of_a_key_is_none(word: str) -> None:
    text = f"{word} has no such model"

    assert Secrets([word]).redact(text) is text


@pytest.mark.parametrize("key", ["sk_upstream_canary_1", "AIzaSyUpstream42", "keyupstream_0123"])
def test_codes_of_the_proxy_stay_readable_whatever_a_key_holds(key: str) -> None:
    secrets = Secrets([key])

    assert secrets.redact("upstream_auth_failed") == "upstream_auth_failed"
    assert secrets.redact("upstream_unavailable") == "upstream_unavailable"
    assert key.lower() not in secrets.redact(f"of {key}").lower()


def test_a_word_of_a_key_may_stand_alone() -> None:
    """Messages have it; with its neighbours it is a part of the key."""
    secrets = Secrets(["sk-upstream-canary-0123456789", "abcdefghijklmnopq"])

    assert secrets.redact("no healthy upstream: upstream_error") == (
        "no healthy upstream: upstream_error"
    )
    assert secrets.redact("of sk-upstream-can") == f"of {REDACTED}"
    assert secrets.redact("an upstream-") == f"an u{REDACTED}"
    assert secrets.redact("bcdefghi") == REDACTED


def test_keys_may_be_added() -> None:
    both = Secrets([KEYS["groq"]], more=Secrets([KEYS["google"]]))

    assert both.redact(f"{KEYS['groq']} {KEYS['google']}") == f"{REDACTED} {REDACTED}"


@pytest.mark.parametrize(
    "data",
    [
        b'{"error": {"message": "No key \\u00e9 here: 100%\\n", "code": null}}',
        b"\xff\xfe no text at all \\u12",
        b"%41%42%43 is ABC",
        b"",
    ],
)
def test_what_has_no_key_stays_the_very_same_bytes(data: bytes) -> None:
    assert Secrets(KEYS.values()).redact_bytes(data) is data


def test_json_stays_valid_and_otherwise_unchanged() -> None:
    body = {"error": {"message": f"bad {KEYS['with slashes']} 日本", "n": [1, None, "a\\b"]}}
    spelled = json.dumps(body).replace("/", "\\/").replace("Q7", "\\u0051\\u0037").encode()
    hidden = Secrets(KEYS.values()).redact_bytes(spelled)

    body["error"]["message"] = f"bad {REDACTED} 日本"
    assert json.loads(hidden) == body


@pytest.mark.parametrize(
    "before", ["\\u00", "\\u0", "\\u", "\\x", "\\", "%", "%2", "\\u004", "\\x4"]
)
def test_no_half_of_an_escape_is_left(before: str) -> None:
    """The letters behind it are those of the key, whether or not they belong to the escape."""
    key = "0bcdefg1-9hijkl"

    assert Secrets([key]).redact(f"say {before}{key}.") == f"say {REDACTED}."


def test_a_whole_escape_in_front_of_a_key_stays() -> None:
    text = json.dumps({"message": "\u00fc0bcdefg1-9hijkl"})

    assert Secrets(["0bcdefg1-9hijkl"]).redact(text) == text.replace("0bcdefg1-9hijkl", REDACTED)


def test_a_key_of_the_very_word_that_hides_it() -> None:
    assert Secrets(["[redacted]-0"]).redact("x [redacted]-0 y") == f"x {REDACTED} y"


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([*KEYS.values(), "\\u0051", "\\", "%", "%25", "&amp;", "Q7", "é", " ", "u"])
    )
)
def test_no_text_shows_a_key_afterwards(pieces: list[str]) -> None:
    text = "".join(pieces)
    secrets = Secrets(KEYS.values())
    hidden = secrets.redact(text)

    assert all(key not in hidden for key in KEYS.values())
    assert secrets.redact(hidden) == hidden


HOSTILE = {
    "escapes": b"\\u0053",
    "percent": b"%53",
    "percent of percent": b"%25",
    "backslashes": b"\\",
    "ampersands": b"&amp;",
    "traces": b"sk-p",
    "keys": KEYS["openai"].encode(),
    "nothing": b"nothing ",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_work_is_bounded_whatever_is_sent(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted are the steps that Python takes: for escapes, and for traces of keys."""
    from jarvis_proxy import redaction

    steps = 0
    meaning = redaction._unescape

    def counted(escape: re.Match[bytes]) -> bytes:
        nonlocal steps
        steps += 1
        return meaning(escape)

    monkeypatch.setattr(redaction, "_unescape", counted)
    data = HOSTILE[kind] * (1_000_000 // len(HOSTILE[kind]))
    hidden = Secrets(KEYS.values()).redact_bytes(data)

    assert steps <= 4 * 20_000
    assert KEYS["openai"].encode() not in hidden
    assert hidden in (data, REDACTED.encode())


def test_headers_lose_keys_in_their_values_and_their_names() -> None:
    key = KEYS["openai"]
    headers = {"x-request-id": f"req-{key[5:25]}", f"x-ratelimit-{key}": "1", "openai-model": "gpt"}

    assert Secrets([key]).redact_headers(headers) == {
        "x-request-id": f"req-{REDACTED}",
        "openai-model": "gpt",
    }


def test_a_key_with_signs_as_html_names_them_is_found() -> None:
    key = KEYS["with slashes"]
    spelled = key.replace("/", "&sol;").replace("+", "&PLUS;").replace("=", "&equals;")

    assert Secrets([key]).redact(f"is {spelled} ok") == f"is {REDACTED} ok"
