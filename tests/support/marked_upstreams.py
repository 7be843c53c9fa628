"""Upstreams of each kind whose every word is marked, and that fail as they are asked to. IO."""

import json
from typing import Any

from tests.support.anthropic_service import stream_of
from tests.support.canaries import Canaries, pieces
from tests.support.marked_sessions import is_session, play_session
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

Json = dict[str, Any]


async def repeat_key(peer: Peer, wanted: str, key: str, said: str) -> None:
    """Answer with the proxy's own *key* in it, in one of the ways that *wanted* names."""
    words = " ".join([said.replace('"', "").replace("\\", ""), *pieces(key)])
    headers = [f"x-request-id: {key[:13]}", f"x-ratelimit-{key}: 1", f"openai-model: {key}"]
    error = f'{{"error":{{"message":"{words}","type":"t","code":"{key}","param":"{key}"}}}}'
    if "key-in-text" in wanted:
        await peer.reply(words.encode(), 503, "text/plain", headers)
    elif "key-in-page" in wanted:
        await peer.reply(f"<html><p>{words}</p>".encode(), 500, "text/html", headers)
    elif "key-in-200" in wanted:
        await peer.reply(error.encode(), extra=headers)
    elif "key-in-header" in wanted:
        await peer.reply(completion(said), extra=headers)
    elif "key-in-events" in wanted:
        created = {"type": "response.created", "sequence_number": 0, "response": {"id": "r"}}
        failed = f'{{"type":"response.failed","sequence_number":2,"response":{error[:-1]}}}}}'
        await peer.head(extra=headers)
        await peer.chunk(b"data: " + json.dumps(created).encode() + b"\n\n")
        last = f'{{"type":"error","sequence_number":1,{error[10:-1]}'
        await peer.chunk(f"event: error\ndata: {last}\n\ndata: {failed}\n\n".encode())
        await peer.last_chunk()
    else:
        await peer.reply(error.encode(), 400, extra=headers)


def _reasoned(said: str) -> tuple[bytes, bytes]:
    """Return an answer with reasoning, as a stream and whole."""
    stream = json.loads(chat_chunk("")[6:])
    stream["choices"][0]["delta"] = {"reasoning_content": said}
    whole = json.loads(completion(said))
    whole["choices"][0]["message"]["reasoning_content"] = said
    end = chat_chunk(said) + chat_chunk(None, "stop") + b"data: [DONE]\n\n"
    return b"data: " + json.dumps(stream).encode() + b"\n\n" + end, json.dumps(whole).encode()


def chat_service(canaries: Canaries) -> RawUpstream:
    """Return an OpenAI; what it says, it says as reasoning too."""

    async def openai(peer: Peer, request: Received) -> None:
        if is_session(request):
            await play_session(canaries, peer, request)
            return
        wanted = request.body.decode("utf-8", "replace")
        said = canaries.text(f"openai says {len(canaries.tokens)}")
        key = (request.header("authorization") or "").removeprefix("Bearer ")
        match request.path.rpartition("/")[2]:
            case _ if "want-key" in wanted:
                await repeat_key(peer, wanted, key, said)
            case _ if "want-400" in wanted:
                error = {"message": said, "type": "t", "code": "c", "param": said}
                await peer.reply(json.dumps({"error": error}).encode(), 400)
            case _ if "want-401" in wanted:
                await peer.reply(json.dumps({"error": {"message": said}}).encode(), 401)
            case _ if "want-html" in wanted:
                await peer.reply(f"<html>{said}</html>".encode(), 502, "text/html")
            case _ if "want-redirect" in wanted:
                mark = canaries.new("location")
                await peer.reply(b"", 307, None, [f"Location: http://{mark}.test/{mark}"])
            case _ if "want-garbage" in wanted:
                await peer.send(b"HTTP/1.1 200 OK\r\nX: a\x00" + said.encode() + b"\r\n\r\n")
                peer.close()
            case _ if "want-cut" in wanted:
                await peer.head()
                await peer.chunk(chat_chunk(said) + b'data: {"half":"' + said.encode())
                peer.close()
            case _ if "want-bad-frame" in wanted:
                await peer.head()
                await peer.chunk(chat_chunk(said) + b"data: {" + said.encode() + b"\n\n")
                await peer.last_chunk()
            case _ if "want-bad-chunk" in wanted:
                await peer.head()
                await peer.chunk(chat_chunk(said))
                await peer.send(said.encode())
                peer.close()
            case _ if '"stream":true' in wanted:
                await peer.head()
                await peer.chunk(_reasoned(said)[0])
                await peer.last_chunk()
            case _:
                marked = ["Set-Cookie: a=" + canaries.new("cookie of the upstream")]
                await peer.reply(_reasoned(said)[1], extra=marked)

    return RawUpstream(openai)


def gemini(canaries: Canaries) -> RawUpstream:
    """Return a Gemini, with thoughts and signed calls."""

    async def play(peer: Peer, request: Received) -> None:
        said = canaries.text(f"gemini says {len(canaries.tokens)}")
        call = {"name": "f", "args": {"a": said}, "id": canaries.new("native id")}
        parts: list[Json] = [
            {"text": said, "thought": True},
            {"functionCall": call, "thoughtSignature": canaries.new("signature")},
        ]
        frame: Json = {
            "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]
        }
        key = request.header("x-goog-api-key") or ""
        if b"want-key" in request.body:
            await repeat_key(peer, "key", key, said)
        elif b"want-400" in request.body:
            error = {"code": 400, "message": said, "status": "INVALID_ARGUMENT"}
            await peer.reply(json.dumps({"error": error}).encode(), 400)
        elif b"want-nonsense" in request.body:
            await peer.reply(json.dumps({"candidates": said}).encode())
        elif ":streamGenerateContent" in request.path:
            await peer.head()
            await peer.chunk(b"data: " + json.dumps(frame).encode() + b"\r\n\r\n")
            if b"want-cut" in request.body:
                await peer.chunk(b'data: {"candidates":[{"content":"' + said.encode())
            await peer.last_chunk()
        else:
            await peer.reply(json.dumps(frame).encode())

    return RawUpstream(play, base_path="/v1beta")


def anthropic(canaries: Canaries) -> RawUpstream:
    """Return an Anthropic, with signed thinking and calls."""

    async def play(peer: Peer, request: Received) -> None:
        said = canaries.text(f"claude says {len(canaries.tokens)}")
        if b"want-key" in request.body:
            await repeat_key(peer, "key", request.header("x-api-key") or "", said)
        elif b"want-400" in request.body:
            error = {"type": "invalid_request_error", "message": said}
            await peer.reply(json.dumps({"type": "error", "error": error}).encode(), 400)
        elif b"want-nonsense" in request.body:
            await peer.reply(json.dumps({"type": "message", "content": said}).encode())
        elif b'"stream":true' not in request.body:
            await peer.reply(json.dumps(_message(canaries, said)).encode())
        else:
            events = list(stream_of(_message(canaries, said)))
            await peer.head()
            for event in events[: -2 if b"want-cut" in request.body else None]:
                data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                await peer.chunk(data.encode())
            if b"want-cut" in request.body:
                await peer.chunk(b'data: {"half":"' + said.encode())
            await peer.last_chunk()

    return RawUpstream(play, base_path="")


def _message(canaries: Canaries, said: str) -> Json:
    signature = canaries.new(f"claude's signature {len(canaries.tokens)}")
    call_id = canaries.new(f"claude's id {len(canaries.tokens)}")
    return {
        "id": canaries.new(f"claude's message {len(canaries.tokens)}"),
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": [
            {"type": "thinking", "thinking": said, "signature": signature},
            {"type": "text", "text": said},
            {"type": "tool_use", "id": call_id, "name": "f", "input": {"a": said}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 2, "output_tokens": 3},
    }
