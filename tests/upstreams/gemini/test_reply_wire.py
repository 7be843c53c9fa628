"""Every recorded answer of Gemini, whole and streamed, against a plain reading of the recording.

The reading below is written without the translators, on dicts, from the specification.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from jarvis_proxy.canonical.exchange import RetryableError
from jarvis_proxy.errors import ProxyError
from tests.support.recordings import recordings, response_of
from tests.upstreams.gemini.replies import (
    DONE,
    JSON,
    a_plan,
    accumulate,
    an_exchange,
    chunks_of,
    refused,
    sse,
    stream_outcome,
)

pytestmark = pytest.mark.slow

ASKED = a_plan(include_usage=True, service_tier_asked=True)
MALFORMED = {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"}
FILTERED = {"SAFETY", "RECITATION", "MODEL_ARMOR", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII"}
FULLY_SPLIT = 2500  # a stream up to this long is cut at each of its bytes, a longer one in places
ALL = [param for param in recordings("gemini") if param.id == "no-recordings" or param.values[0]]


# -- the report --------------------------------------------------------------------------------

Rows = list[tuple[str, str, str]]


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[Rows]:
    """Collect (name, outcome, reason), and print the table at the module's end."""
    collected: Rows = []
    yield collected
    plugins = request.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")
    if reporter is not None and capture is not None and collected:
        with capture.global_and_fixture_disabled():
            for line in report(collected, everything=request.config.get_verbosity() > 0):
                reporter.write_line(line)


def report(rows: Rows, *, everything: bool) -> Iterator[str]:
    """Give the table's lines; without *everything* only what was not applicable, and why."""
    passed = sum(outcome == "pass" for _, outcome, _ in rows)
    yield f"\nRecorded answers of Gemini: {passed} of {len(rows)} checks passed, the others:"
    for name, outcome, reason in rows:
        if everything or outcome != "pass":
            yield f"  {name:<98} {outcome:<5} {reason}"


# -- a plain reading ---------------------------------------------------------------------------


def frames_of(recording: JSON) -> list[JSON]:
    """Return the recording's frames; a raw tail that is no event is none."""
    response = recording["response"]
    if "sse" not in response:
        body = response["body"]
        return body if isinstance(body, list) else [body]
    events = re.split(r"\r?\n\r?\n", response["sse"].strip())
    return [json.loads(event[5:]) for event in events if event.startswith("data:")]


def parts_of(frames: list[JSON], index: int) -> Iterator[JSON]:
    for candidate in candidates_of(frames, index):
        yield from (candidate.get("content") or {}).get("parts") or []


def candidates_of(frames: list[JSON], index: int) -> list[JSON]:
    every = (c for frame in frames for c in frame.get("candidates") or [])
    return [candidate for candidate in every if (candidate.get("index") or 0) == index]


def indices_of(frames: list[JSON]) -> list[int]:
    every = (c for frame in frames for c in frame.get("candidates") or [])
    return sorted({candidate.get("index") or 0 for candidate in every})


def content_of(frames: list[JSON], index: int) -> str:
    content = ""
    for part in parts_of(frames, index):
        if "text" in part and not part.get("thought"):
            content += part["text"]
        elif "executableCode" in part:
            code = part["executableCode"]
            content += f"\n```{code['language'].lower()}\n{code['code']}\n```\n"
        elif "codeExecutionResult" in part:
            result = part["codeExecutionResult"]
            failed = "" if result["outcome"] == "OUTCOME_OK" else result["outcome"] + "\n"
            content += f"\n```output\n{failed}{result.get('output', '')}\n```\n"
    return content


def reasoning_of(frames: list[JSON], index: int) -> str:
    parts = parts_of(frames, index)
    return "".join(part.get("text", "") for part in parts if part.get("thought"))


def calls_of(frames: list[JSON], index: int) -> list[tuple[str, Any, str | None]]:
    """Return (name, arguments, signature) of each call; of one in pieces its leaves in order."""
    calls: list[tuple[str, Any, str | None]] = []
    leaves: list[Any] = []
    for part in parts_of(frames, index):
        call = part.get("functionCall", {})
        if "name" in call:
            leaves = []
            in_pieces = "willContinue" in call or "partialArgs" in call
            arguments = leaves if in_pieces else call.get("args") or {}
            calls.append((call["name"], arguments, part.get("thoughtSignature")))
        for piece in call.get("partialArgs", []):
            (value,) = (v for k, v in piece.items() if k.endswith("Value"))
            if leaves and leaves[-1][0] == piece["jsonPath"]:
                value = leaves.pop()[1] + value
            leaves.append((piece["jsonPath"], value))
    return calls


def leaves_of(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves_of(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves_of(inner)]
    return [value]


def text_signature_of(frames: list[JSON], index: int) -> str | None:
    signature = None
    for part in parts_of(frames, index):
        if "text" in part and not part.get("thought") and "thoughtSignature" in part:
            signature = part["thoughtSignature"]
    return signature


def native_of(frames: list[JSON], index: int) -> str | None:
    native = None
    for candidate in candidates_of(frames, index):
        native = candidate.get("finishReason") or native
    return native


def finish_of(frames: list[JSON], index: int, *, said: bool, called: bool) -> str:
    native = native_of(frames, index)
    if native in FILTERED or (native == "OTHER" and not said and not called):
        return "content_filter"
    if called:
        return "tool_calls"
    return "length" if native == "MAX_TOKENS" else "stop"


def usage_of(frames: list[JSON]) -> tuple[int, int, int, int, int]:
    """Return (prompt, completion, total, cached, reasoning) of the last block with counts."""
    block: JSON = {}
    for frame in frames:
        found = frame.get("usageMetadata") or {}
        if any(key.endswith("TokenCount") for key in found):
            block = found
    prompt = block.get("promptTokenCount", 0) + block.get("toolUsePromptTokenCount", 0)
    thoughts = block.get("thoughtsTokenCount", 0)
    completion = block.get("candidatesTokenCount", 0) + thoughts
    total = block.get("totalTokenCount") or prompt + completion
    return prompt, completion, total, block.get("cachedContentTokenCount", 0), thoughts


def blocked_by(frames: list[JSON]) -> str | None:
    for frame in frames:
        if reason := (frame.get("promptFeedback") or {}).get("blockReason"):
            return str(reason)
    return None


def expected_error(recording: JSON, *, streamed: bool) -> str | None:
    """Return the code of the error that the recording's answer must end in, if in one."""
    frames = frames_of(recording)
    raw_tail = '"error": {' in recording["response"].get("sse", "")
    if raw_tail:
        return "cancelled"
    if blocked_by(frames):
        return None
    indices = indices_of(frames)
    if streamed and any(native_of(frames, index) is None for index in indices):
        return "upstream_truncated"
    unusable = [i for i in indices if not content_of(frames, i) and not calls_of(frames, i)]
    if unusable == indices and all(native_of(frames, i) in MALFORMED for i in indices):
        return "upstream_malformed_response"
    return None


# -- comparison --------------------------------------------------------------------------------


def check_choice(frames: list[JSON], choice: JSON, *, streamed: bool) -> None:
    """Compare one choice, whole or put together from chunks, with the reading."""
    index, message = choice["index"], choice["message"]
    content, calls = content_of(frames, index), calls_of(frames, index)
    assert message["role"] == "assistant"
    if content or not calls or streamed:
        assert message["content"] == content
    else:
        assert message["content"] is None
    assert message.get("reasoning_content", "") == reasoning_of(frames, index)
    check_calls(message.get("tool_calls", []), calls)
    said = bool(content or message.get("images") or message.get("audio"))
    blocked = blocked_by(frames) if native_of(frames, index) is None else None
    if blocked is not None:
        assert choice["finish_reason"] == "content_filter"
        assert choice["native_finish_reason"] == f"PROMPT_BLOCKED:{blocked}"
        return
    assert choice["finish_reason"] == finish_of(frames, index, said=said, called=bool(calls))
    assert choice.get("native_finish_reason") == native_of(frames, index)
    signature = text_signature_of(frames, index)
    carried = message.get("extra_content", {}).get("google", {}).get("thought_signature")
    assert carried == signature
    pictures = [p["inlineData"] for p in parts_of(frames, index) if "inlineData" in p]
    pictures = [p for p in pictures if p["mimeType"].startswith("image/")]
    urls = [f"data:{p['mimeType']};base64,{p['data']}" for p in pictures]
    assert [image["image_url"]["url"] for image in message.get("images", [])] == urls


def check_calls(actual: list[JSON], expected: list[tuple[str, Any, str | None]]) -> None:
    assert [call["function"]["name"] for call in actual] == [name for name, _, _ in expected]
    assert len({call["id"] for call in actual}) == len(actual)
    for call, (_, arguments, signature) in zip(actual, expected, strict=True):
        assert re.fullmatch("call_[A-Za-z0-9]{24}", call["id"])
        assert call["type"] == "function"
        made = json.loads(call["function"]["arguments"])
        if isinstance(arguments, list):
            assert leaves_of(made) == [value for _, value in arguments]
        else:
            assert made == arguments
        carried = call.get("extra_content", {}).get("google", {}).get("thought_signature")
        assert carried == signature


def check_usage(frames: list[JSON], usage: JSON) -> None:
    details = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    actual = (
        usage["prompt_tokens"],
        usage["completion_tokens"],
        usage["total_tokens"],
        details[0]["cached_tokens"],
        details[1]["reasoning_tokens"],
    )
    assert actual == usage_of(frames)


def check_annotations(message: JSON, frames: list[JSON], index: int) -> None:
    """Each annotation marks, in the content, the words that the recording says it is about."""
    texts = {
        support["segment"]["text"]
        for candidate in candidates_of(frames, index)
        for support in (candidate.get("groundingMetadata") or {}).get("groundingSupports", [])
    }
    for annotation in message.get("annotations", []):
        citation = annotation["url_citation"]
        assert message["content"][citation["start_index"] : citation["end_index"]] in texts
        assert citation["url"].startswith("http")


def check_first_deltas(chunks: list[JSON]) -> None:
    """What clients rely on in each chunk, beyond what the SDK's types say."""
    finished = [c["index"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]]
    assert len(finished) == len(set(finished))
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    for chunk in chunks[:-1]:
        assert chunk["usage"] is None
        (choice,) = chunk["choices"]
        delta = choice["delta"]
        assert not {"content", "reasoning_content"} <= delta.keys()
        assert len(delta.get("tool_calls", [])) <= 1
        for call in delta.get("tool_calls", []):
            assert isinstance(call["function"]["arguments"], str)
    assert chunks[-1]["choices"] == []


def whole_answer(body: bytes) -> JSON:
    exchange = an_exchange(ASKED)
    assert exchange.translate_reply(body) is None
    raw = exchange.answer()
    ChatCompletion.model_validate_json(raw, strict=True)
    answer = json.loads(raw)
    assert {"id", "object", "created", "model", "choices", "usage"} <= answer.keys()
    assert answer["id"].startswith("chatcmpl-")
    for choice in answer["choices"]:
        assert {"index", "message", "logprobs", "finish_reason"} <= choice.keys()
        assert {"role", "content", "refusal", "annotations"} <= choice["message"].keys()
    assert isinstance(answer, dict)
    return answer


def streamed_chunks(data: bytes) -> list[JSON]:
    out, error = stream_outcome(an_exchange(ASKED, stream=True), [data])
    if error is not None:
        raise error
    chunks = chunks_of(out)
    for event in out.removesuffix(DONE).split(b"\n\n")[:-1]:
        ChatCompletionChunk.model_validate_json(event.removeprefix(b"data: "), strict=True)
    check_first_deltas(chunks)
    return chunks


# -- the tests ---------------------------------------------------------------------------------


def answers() -> list[Any]:
    """Return the recordings of a generateContent answer with status 200."""
    return [
        p
        for p in ALL
        if p.values[0] is None
        or (p.values[0]["kind"] == "generate" and p.values[0]["response"]["status"] == 200)
    ]


def refusals() -> list[Any]:
    return [p for p in ALL if p.values[0] is None or p.values[0]["response"]["status"] >= 400]


def is_stream(recording: JSON) -> bool:
    response = recording["response"]
    return "sse" in response or isinstance(response["body"], list)


@pytest.mark.parametrize("recording", answers())
def test_recorded_answer_agrees_with_a_plain_reading(recording: JSON, rows: Rows) -> None:
    body, _ = response_of(recording)
    frames, streamed = frames_of(recording), is_stream(recording)
    code = expected_error(recording, streamed=streamed)
    if code is not None:
        with pytest.raises(ProxyError) as caught:
            streamed_chunks(body) if streamed else whole_answer(body)
        assert caught.value.code == code
        assert isinstance(caught.value, RetryableError) is (code == "upstream_malformed_response")
        rows.append((recording["id"], "pass", f"is the error {code}, as it must be"))
        return

    if streamed:
        chunks = streamed_chunks(body)
        choices, usage = list(accumulate(chunks).values()), chunks[-1]["usage"]
    else:
        answer = whole_answer(body)
        choices, usage = answer["choices"], answer["usage"]

    assert [choice["index"] for choice in choices] == (indices_of(frames) or [0])
    for choice in choices:
        check_choice(frames, choice, streamed=streamed)
        check_annotations(choice["message"], frames, choice["index"])
    check_usage(frames, usage)
    rows.append((recording["id"], "pass", "streamed" if streamed else "whole"))


@pytest.mark.parametrize("recording", answers())
def test_recorded_answer_streamed_adds_up_to_the_whole(recording: JSON, rows: Rows) -> None:
    frames = frames_of(recording)
    reason = expected_error(recording, streamed=True)
    if reason is not None:
        why = {
            "upstream_truncated": "not applicable: no finishReason, which a stream must have",
            "cancelled": "not applicable: the recording ends in an error",
            "upstream_malformed_response": "not applicable: the answer is an unusable call",
        }[reason]
        rows.append((recording["id"] + " as both", "n/a", why))
        return

    streamed = accumulate(streamed_chunks(sse(*frames)))
    answer = whole_answer(json.dumps(frames).encode())

    assert [choice["index"] for choice in answer["choices"]] == sorted(streamed)
    for choice in answer["choices"]:
        message, other = choice.pop("message"), streamed[choice["index"]].pop("message")
        assert message.pop("refusal") is None
        assert message.pop("annotations") == other.pop("annotations", [])
        assert (message.pop("content") or "") == other.pop("content")
        check_audio(message.pop("audio", None), other.pop("audio", None))
        assert message == other
        choice["logprobs"] = choice.pop("logprobs") or None
        streamed_choice = {"logprobs": None, **streamed[choice["index"]]}
        assert choice == streamed_choice
    rows.append((recording["id"] + " as both", "pass", ""))


def check_audio(whole: JSON | None, streamed: JSON | None) -> None:
    """A streamed wav has sizes of "until the end" in its header: the first 60 letters of base64."""
    assert (whole is None) == (streamed is None)
    if whole is not None and streamed is not None:
        assert whole.pop("data")[60:] == streamed.pop("data")[60:]
        assert whole == streamed


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "recording", [p for p in answers() if not p.values[0] or is_stream(p.values[0])]
)
def test_recorded_stream_may_be_cut_anywhere(recording: JSON, rows: Rows) -> None:
    data, _ = response_of(recording)
    expected, expected_error_ = stream_outcome(an_exchange(ASKED, stream=True), [data])
    code = getattr(expected_error_, "code", None)
    step = max(1, len(data) // 50)
    cuts = range(len(data)) if len(data) <= FULLY_SPLIT else range(1, len(data), step)

    for cut in cuts:
        actual, error = stream_outcome(an_exchange(ASKED, stream=True), [data[:cut], data[cut:]])
        assert (actual, getattr(error, "code", None)) == (expected, code)
    single = (data[at : at + 1] for at in range(len(data)))
    actual, error = stream_outcome(an_exchange(ASKED, stream=True), single)
    assert (actual, getattr(error, "code", None)) == (expected, code)
    rows.append((recording["id"] + " cut", "pass", f"{len(cuts)} cuts, and byte by byte"))


@pytest.mark.parametrize("recording", refusals())
def test_recorded_refusal_is_mapped_and_keeps_its_details(recording: JSON, rows: Rows) -> None:
    body, _ = response_of(recording)
    status = recording["response"]["status"]
    upstream = recording["response"]["body"]["error"]

    error = refused(an_exchange(), status, body)

    written = json.loads(error.body())["error"]
    assert error.status == (
        502 if status in (401, 403) or "API key" in upstream["message"] else status
    )
    assert written.keys() == {"message", "type", "param", "code"}
    for detail in upstream.get("details", []):
        for value in leaves_of({k: v for k, v in detail.items() if k in ("detail", "metadata")}):
            assert value not in written["message"]
    rows.append((recording["id"], "pass", f"{status} → {error.status} {error.code}"))


def test_every_recording_is_replayed_or_is_of_another_kind(rows: Rows) -> None:
    if ALL[0].values[0] is None:
        pytest.skip("the recorded exchanges are not next to this checkout")
    replayed = {p.id for p in (*answers(), *refusals())}

    for param in ALL:
        if param.id not in replayed:
            kind = param.values[0]["kind"]
            assert kind in ("batchEmbedContents", "countTokens", "models")
            rows.append((str(param.id), "n/a", f"not applicable: {kind}, not generateContent"))
