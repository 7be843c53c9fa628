"""The inputs that fuzzing starts from, and what it has found: files below corpus/. IO.

``python -m tests.fuzz.corpus`` writes the seeds again from the streams, replies and requests that
the other tests have; what was found (``found-...``) stays.
"""

import json
from pathlib import Path
from typing import Final

from tests.fuzz.targets import env_file

ROOT: Final = Path(__file__).resolve().parent / "corpus"
_LARGEST: Final = 4096


def inputs(target: str) -> dict[str, bytes]:
    """Return a target's inputs by the names of their files."""
    return {path.name: path.read_bytes() for path in sorted((ROOT / target).iterdir())}


def _seeds() -> dict[str, list[bytes]]:
    from tests.faults.dialects import DIALECTS
    from tests.upstreams.gemini.replies import a_frame, a_function_call, a_usage, sse
    from tests.upstreams.openai_streams import GOLDEN

    golden = (ROOT.parents[1] / "upstreams/gemini/golden/parallel_tool_calls.sse").read_bytes()
    openai = [
        bytes([("chat", "responses", "other").index(one.kind)]) + one.stream
        for one in GOLDEN.values()
    ]
    frames = [
        a_frame({"text": "Hé"}, {"text": "why", "thought": True}, finish="STOP"),
        a_frame(a_function_call("f", {"a": [1, None]}), finish="STOP", usage=a_usage(3, 2, 1)),
        a_frame({"inlineData": {"mimeType": "image/png", "data": "QQ=="}}, finish="MAX_TOKENS"),
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}},
    ]
    gemini = [golden, DIALECTS["gemini"].stream, sse(*frames[:3]), *(sse(one) for one in frames)]
    whole = [json.dumps(one).encode() for one in frames]
    whole += [json.dumps(frames[:2]).encode()]
    errors = [b"\x00" + json.dumps({"error": one}).encode() for one in _ERRORS]
    requests = [json.dumps(one).encode() for one in _REQUESTS]
    return {
        "sse": [one[1:] for one in openai] + gemini[:3],
        "openai_stream": openai,
        "gemini_stream": gemini,
        "gemini_reply": whole,
        "gemini_request": [bytes([3]) + one for one in requests],
        "request_head": requests,
        "env_file": [text.encode() for text in _ENV_FILES],
        "upstream_error": errors,
    }


_IMAGE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
_SCHEMA: Final = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/b"}, "c": {"type": ["string", "null"]}},
    "required": ["a"],
    "$defs": {"b": {"anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["x", "y"]}]}},
}
_TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": _SCHEMA}}
_CALLED: Final = {"id": "call1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_REQUESTS: Final = (
    {"model": "gemini", "messages": [{"role": "user", "content": "hi"}], "stream": True},
    {
        "model": "gemini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "what"}, _IMAGE]},
            {"role": "assistant", "content": None, "tool_calls": [_CALLED]},
            {"role": "tool", "tool_call_id": "call1", "content": '{"b": 1}'},
        ],
        "tools": [_TOOL],
        "tool_choice": "auto",
    },
    {
        "model": "gemini",
        "messages": [{"role": "user", "content": "json"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": _SCHEMA}},
        "temperature": 0.5,
        "stop": ["a"],
        "n": 2,
        "max_tokens": 5,
        "reasoning_effort": "low",
        "stream_options": {"include_usage": True},
    },
)
_ERRORS: Final = (
    {"message": "Incorrect API key provided: sk-c4nary0123456789.", "type": "x", "code": "y"},
    {
        "code": 429,
        "message": "Quota exceeded. key=AIzac4nary0123456789",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"},
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
        ],
    },
    {"code": 400, "message": "Invalid value at 'contents'", "status": "INVALID_ARGUMENT"},
)
_ENV_FILES: Final = (
    f"# keys\nPROXY_API_KEYS=a:{env_file.MARK}-0123456789,b:{env_file.MARK}-9876543210\n"
    f"OPENAI_API_KEY={env_file.MARK}-1,{env_file.MARK}-2 # two\nGEMINI_API_KEY='{env_file.MARK}'\n",
    'export PORT=9000\r\nHOST="0.0.0.0"\r\nLOG_FORMAT=json\r\nIDLE_TIMEOUT=60\r\n',
    f"UPSTREAMS=groq\nGROQ_BASE_URL=https://{env_file.MARK}.example/v1\n"
    f"GROQ_API_KEY={env_file.MARK}\nMODEL_ALIASES=fast=groq/{env_file.MARK}\n"
    f"FALLBACKS=fast=gemini-2.5-flash\nKEY_A_RPM=5\nTRUSTED_PROXIES=10.0.0.0/8\n",
)


def write() -> None:
    """Write the seeds."""
    for target, seeds in _seeds().items():
        folder = ROOT / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("seed-*"):
            old.unlink()
        for number, seed in enumerate(seeds):
            if len(seed) <= _LARGEST:
                (folder / f"seed-{number:02}").write_bytes(seed)


if __name__ == "__main__":
    write()
