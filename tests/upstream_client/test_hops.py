"""Marks by which a proxy knows a request of its own: C12."""

import pytest

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.config.upstreams import DEFAULT_UPSTREAMS, UpstreamSettings
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.hops import LOOP_HEADER, LoopMarks, with_mark

NEAR = UpstreamSettings("my-llm", "https://llm.example.com/v1")
OTHER = UpstreamSettings("openai", "https://gateway.example.com/v1")
OURS = LoopMarks(b"ours", [NEAR, OTHER])
THEIRS = LoopMarks(b"theirs", [NEAR, OTHER])
REQUEST = UpstreamRequest("POST", "/chat/completions", {"accept": "a"}, b"{}")


def sent(request: UpstreamRequest) -> str:
    return request.headers[LOOP_HEADER]


@pytest.mark.parametrize(
    ("upstream", "setting"), [("my-llm", "MY_LLM_BASE_URL"), ("openai", "OPENAI_BASE_URL")]
)
def test_an_own_mark_is_refused_and_its_setting_named(upstream: str, setting: str) -> None:
    request = with_mark(REQUEST, OURS.marks[upstream], None)

    assert request.headers["accept"] == "a"
    with pytest.raises(ProxyError, match=f"{setting} leads") as caught:
        OURS.check(sent(request))
    assert (caught.value.status, caught.value.code) == (508, "loop_detected")
    assert caught.value.should_retry is False


def test_a_loop_over_another_proxy_is_seen() -> None:
    ours = with_mark(REQUEST, OURS.marks["openai"], None)
    THEIRS.check(sent(ours))
    back = with_mark(REQUEST, THEIRS.marks["my-llm"], sent(ours))

    with pytest.raises(ProxyError, match="OPENAI_BASE_URL leads"):
        OURS.check(sent(back))


@pytest.mark.parametrize("value", ["", "x", "0" * 16, "f" * 8000, THEIRS.marks["openai"]])
def test_other_marks_pass(value: str) -> None:
    OURS.check(value)


def test_only_marks_are_passed_on_and_not_without_end() -> None:
    earlier = [f"{number:016x}" for number in range(40)]
    value = sent(with_mark(REQUEST, OURS.marks["openai"], f"canary, {', '.join(earlier)}"))

    assert value.split(",") == [*earlier[-15:], OURS.marks["openai"]]


def test_marks_are_of_one_process_and_one_upstream() -> None:
    marks = [*OURS.marks.values(), *THEIRS.marks.values()]

    assert len(set(marks)) == 4


def test_openais_and_googles_own_servers_see_no_mark() -> None:
    assert set(LoopMarks(b"ours", DEFAULT_UPSTREAMS).marks.values()) == {""}
    LoopMarks(b"ours", DEFAULT_UPSTREAMS).check("")
