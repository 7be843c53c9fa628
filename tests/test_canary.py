"""Nothing that clients or upstreams say is written anywhere: not to a log, not to any file.

A server in a process of its own, at LOG_LEVEL=debug, in a home of its own, is sent marked texts on
every path: prompts, answers, keys, cookies, queries, file names, malformed HTTP. Then everything
that it wrote is searched for the marks, in every form that they could have taken.
"""

import asyncio
import base64
import contextlib
import filecmp
import gzip
import itertools
import json
import secrets
import signal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.raw_client import connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion
from tests.support.server_process import ROOT, Server, make_project, running_server

pytestmark = pytest.mark.slow

Json = dict[str, Any]
CHAT = "/v1/chat/completions"


class Canaries:
    """Random texts, and everything that a program could have made of them."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}

    def new(self, name: str) -> str:
        """Return a fresh mark of plain letters, for where others are not allowed."""
        token = self.tokens[name] = f"canary{secrets.token_hex(10)}"
        return token

    def text(self, name: str) -> str:
        """Return a mark with characters that encodings change."""
        return f'ü "{self.new(name)}"\u2028\\&<ä>'

    def found_in(self, data: bytes) -> list[str]:
        """Return the names of the marks that stand in *data*, in any form."""
        lower = data.lower()
        return [
            name
            for name, token in self.tokens.items()
            if any(form in data for form in forms(token)) or token.encode() in lower
        ]


def forms(token: str) -> list[bytes]:
    """Return *token* as it stands, in hexadecimal, base64, URL and JSON escapes."""
    raw = token.encode()
    escaped = "".join(f"\\u{ord(c):04x}" for c in token).encode()
    percent = "".join(f"%{ord(c):02x}" for c in token).encode()
    aligned = [base64.b64encode(b"_" * pad + raw)[4:-4] for pad in range(3)]
    return [
        raw,
        raw[::-1],
        raw.hex().encode(),
        raw.hex().upper().encode(),
        *aligned,
        *(part.translate(bytes.maketrans(b"+/", b"-_")) for part in aligned),
        quote(token).encode(),
        percent,
        percent.upper(),
        escaped,
        token.encode("utf-16-le"),
    ]


@pytest.mark.parametrize("spell", range(len(forms("x" * 20))))
def test_marks_are_found_in_every_form(spell: int) -> None:
    canaries = Canaries()
    token = canaries.new("mark")
    canaries.new("other")

    assert canaries.found_in(b"some log: " + forms(token)[spell] + b" end") == ["mark"]
    assert canaries.found_in(b"some log: nothing") == []


def pieces(key: str) -> list[str]:
    """Return *key* as an upstream may repeat it: escaped, encoded, cut in two."""
    escaped = "".join(f"\\u{ord(c):04x}" for c in key)
    percent = "".join(f"%{ord(c):02x}" for c in key)
    return [key, escaped, percent, key[: len(key) // 2], f"..{key[-9:]}", key.upper()]


def runs_of(key: str, data: bytes) -> list[str]:
    """Return what *data* shows of *key*: eight characters of it or more."""
    text = data.decode("utf-8", "replace").lower()
    # The first runs are mostly "canary", with which all canaries begin.
    return [key[i : i + 8] for i in range(3, len(key) - 7) if key[i : i + 8] in text]


async def repeat_key(peer: Peer, wanted: str, key: str, said: str) -> None:
    """Answer with our own *key* in it, in one of the ways that *wanted* names."""
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


def upstreams(canaries: Canaries) -> tuple[RawUpstream, RawUpstream]:
    """Return an OpenAI and a Gemini whose every word is marked."""

    async def openai(peer: Peer, request: Received) -> None:
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
                await peer.chunk(chat_chunk(said) + chat_chunk(None, "stop"))
                await peer.chunk(b"data: [DONE]\n\n")
                await peer.last_chunk()
            case _:
                marked = ["Set-Cookie: a=" + canaries.new("cookie of the upstream")]
                await peer.reply(completion(said), extra=marked)

    async def gemini(peer: Peer, request: Received) -> None:
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

    return RawUpstream(openai), RawUpstream(gemini, base_path="/v1beta")


class Visitor:
    """Walks every path with marked words."""

    def __init__(self, server: Server, canaries: Canaries, key: str) -> None:
        self._port = server.port
        self._canaries = canaries
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
        }

    def body(self, model: str, want: str = "", **more: object) -> Json:
        prompt = f"{want} {self._canaries.text(f'prompt {model} {want} {sorted(more)}')}"
        return {"model": model, "messages": [{"role": "user", "content": prompt}], **more}

    async def post(self, body: bytes | Json, path: str = CHAT, **headers: str) -> int:
        if isinstance(body, dict):
            body = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        merged = {**self._headers, **{n.replace("_", "-"): v for n, v in headers.items()}}
        response = await asyncio.wait_for(fetch(self._port, path, body, merged), 10)
        received = str(response.headers).encode() + response.body
        for name, key in self._canaries.tokens.items():
            if name.startswith("key for"):
                assert runs_of(key, received) == [], name
        return response.status

    async def answers_and_failures(self) -> None:
        for want in ("", "want-400", "want-401", "want-html", "want-redirect", "want-garbage"):
            for stream in (False, True):
                await self.post(self.body("gpt-4o", want, stream=stream))
        for want in ("want-cut", "want-bad-frame", "want-bad-chunk"):
            await self.post(self.body("gpt-4o", want, stream=True))
        for want in ("", "want-400", "want-nonsense", "want-cut"):
            for stream in (False, True):
                await self.post(self.body("gemini-3.5-flash", want, stream=stream))
        await self.post(self.body("jarvis-echo", stream=True))
        tool = {"type": "function", "function": {"name": self._canaries.new("tool")}}
        await self.post(self.body("gemini-3.5-flash", tools=[tool], tool_choice="required"))
        await self.post(self.body("gemini-3.5-flash", temperature=self._canaries.new("type")))
        link = {"url": f"http://127.0.0.1/{self._canaries.new('image')}"}
        content = [{"type": "image_url", "image_url": link}]
        await self.post(
            {"model": "gemini-3.5-flash", "messages": [{"role": "user", "content": content}]}
        )
        for model in ("gpt-4o", "gemini-3.5-flash", "jarvis-echo"):
            for want in ("", "want-400", "want-cut"):
                asked = f"{want} {self._canaries.text(f'input {model} {want}')}"
                body = {"model": model, "input": asked, "stream": want == "want-cut"}
                await self.post(body, "/v1/responses")
        await self.googles_calls()
        odd = {"type": self._canaries.new("item"), "encrypted_content": self._canaries.new("seal")}
        await self.post({"model": "gemini-3.5-flash", "input": [odd]}, "/v1/responses")
        await self.post({"model": "gemini-embedding-001", "input": 5}, "/v1/embeddings")

    async def googles_calls(self) -> None:
        """Google's API, relayed and translated, with signatures and keys in its own places."""
        new = self._canaries.new
        for model, want in itertools.product(
            ("gemini-3.5-flash", "gpt-4o"), ("", "want-400", "want-cut", "want-key")
        ):
            words = self._canaries.text(f"part {model} {want}")
            part = {"text": f"{want} {words}", "thoughtSignature": new(f"sign {model} {want}")}
            asked = {"contents": [{"parts": [part]}], new(f"field {model} {want}"): 1}
            for verb in ("generateContent", "streamGenerateContent?alt=sse", "countTokens"):
                await self.post(asked, f"/v1beta/models/{model}:{verb}")
        wrong = {"contents": [{"role": new("role"), "parts": [{"text": new("wrong part")}]}]}
        await self.post(wrong, f"/v1beta/models/gpt-4o:generateContent?key={new('google key')}")
        await self.post({}, f"/v1beta/tunedModels/{new('tuned model')}:generateContent")
        await self.post({}, f"/v1beta/{new('google path')}")

    async def repeated_keys(self) -> None:
        """Upstreams that repeat our keys, and a client that puts its own where names belong."""
        for want in ("text", "page", "200", "header", "error"):
            for stream in (False, True):
                await self.post(self.body("gpt-4o", f"want-key-in-{want}", stream=stream))
        body = {"model": "gpt-4o", "input": "want-key-in-events", "stream": True}
        await self.post(body, "/v1/responses")
        await self.post(self.body("gemini-3.5-flash", "want-key"))
        key = self._headers["Authorization"].removeprefix("Bearer ")
        for name in (key, key[3:20], f"sk-{self._canaries.new('another key')}"):
            await self.post(self.body(f"openai/{name}"), User_Agent=f"app {name}")
            await self.post(self.body("gpt-4o"), f"{CHAT}?key={name}", Referer=name)
        guess = self._canaries.new("guess")
        for _ in range(12):  # some of them past the burst, and past the lines of a second
            await self.post(b"{}", Authorization=f"Bearer {guess}", User_Agent=guess)

    async def broken_bodies(self) -> None:
        mark = self._canaries.text("broken body")
        for body in (
            b"{" + mark.encode(),
            json.dumps([mark]).encode(),
            json.dumps({"model": [mark]}).encode(),
            b'{"model":"gpt-4o","x":"' + mark.encode("latin-1", "ignore") + b'\xff"}',
            b'{"model":"gpt-4o","x":' + b"[" * 10_000 + json.dumps(mark).encode(),
            b"",
        ):
            await self.post(body)
        whole = json.dumps(self.body("gpt-4o")).encode()
        await self.post(gzip.compress(whole), Content_Encoding="gzip")
        await self.post(gzip.compress(whole)[:-9], Content_Encoding="gzip")
        await self.post(whole, Content_Encoding="br")
        await self.post(whole, Content_Type="text/plain; x=" + self._canaries.new("type"))

    async def odd_requests(self) -> None:
        new = self._canaries.new
        for headers in (
            {"Authorization": f"Bearer {new('wrong key')}"},
            {"Authorization": f"Basic {new('basic')}"},
            {"x-api-key": new("x-api-key"), "Authorization": "Bearer x"},
        ):
            await self.post(b"{}", **headers)
        await self.post(
            self.body("gpt-4o"),
            f"{CHAT}?key={new('query key')}&x={new('query')}",
            Cookie=f"session={new('cookie')}",
            Referer=f"https://{new('referer')}.test/",
            OpenAI_Organization=new("organization"),
            X_Odd=new("odd header"),
            Idempotency_Key=new("idempotency"),
        )
        await self.post(b"{}", f"/v1/{new('path')}")
        await self.post(b"{}", f"/v1/models/{new('model path')}")
        await self.post(b"{}", f"/v1/files/{new('file path')}")
        await self.post(b"{}", CHAT, Expect=new("expect"))

    async def uploads(self) -> None:
        def form(*, whole: bool) -> bytes:
            mark = self._canaries.new
            head = 'Content-Disposition: form-data; name="'
            text = (
                f'--B\r\n{head}model"\r\n\r\nwhisper-1\r\n'
                f'--B\r\n{head}prompt"\r\n\r\n{mark("form prompt")}\r\n'
                f'--B\r\n{head}file"; filename="{mark("file name")}.mp3"\r\n\r\n'
                f"{mark('file content')}\r\n"
            )
            return text.encode() + (b"--B--\r\n" if whole else b"")

        kind = "multipart/form-data; boundary=B"
        path = "/v1/audio/transcriptions"
        await self.post(form(whole=True), path, Content_Type=kind)
        await self.post(form(whole=False), path, Content_Type=kind)
        await self.post(form(whole=True), path, Content_Type="multipart/form-data; boundary=")
        await self.post(form(whole=True), "/v1/files", Content_Type=kind)
        await self.post(form(whole=True) * 10, path, Content_Type=kind, Content_Length="2000000")

    async def malformed(self) -> None:
        mark = self._canaries.new("malformed").encode()
        auth = f"Authorization: {self._headers['Authorization']}\r\n".encode()
        for data in (
            mark + b"\r\n\r\n",
            b"GET /" + mark + b" HTTP/canary\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: x\r\nX " + mark + b": " + mark + b"\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: " + mark + b"/\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + mark + b"\r\n\r\n" + mark,
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + mark + b", chunked\r\n\r\n",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
            + auth
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + mark
            + b"\r\n",
            b"CONNECT " + mark + b":443 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /health?" + mark * 800 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        ):
            async with connect(self._port) as connection:
                await connection.send(data)
                with contextlib.suppress(ConnectionError, TimeoutError):
                    await asyncio.wait_for(connection.reader.read(), 0.3)

    async def leaving(self) -> None:
        """Leave in the middle: of a body, and of an answer."""
        body = json.dumps(self.body("jarvis-echo", "word " * 200, stream=True)).encode()
        for sent in (body[:-5], body):
            async with connect(self._port) as connection:
                await connection.post(
                    CHAT, sent, {**self._headers, "Content-Length": str(len(body))}
                )
                if sent is body:
                    await connection.head()


def is_new(path: Path, project: Path) -> bool:
    """Tell whether *path* is a file that is not our code, byte for byte."""
    original = ROOT / path.relative_to(project)
    is_code = original.is_file() and filecmp.cmp(original, path, shallow=False)
    return path.is_file() and not is_code


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_nothing_that_is_said_is_written_anywhere(tmp_path: Path, log_format: str) -> None:
    canaries = Canaries()
    project = make_project(tmp_path / "project")
    for name in ("home", "tmp"):
        (project / name).mkdir()
    openai, gemini = upstreams(canaries)
    key = canaries.new("client key")
    async with openai.running(), gemini.running():
        env = {
            "PROXY_API_KEYS": f"somebody:{key}",
            "OPENAI_API_KEY": canaries.new("key for OpenAI"),
            "GEMINI_API_KEY": canaries.new("key for Gemini"),
            "OPENAI_BASE_URL": openai.base_url,
            "GEMINI_BASE_URL": gemini.base_url,
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": log_format,
            "PASSTHROUGH": "all",
            "BODY_IDLE_TIMEOUT": "0.3",
            "HOME": str(project / "home"),
            "TMPDIR": str(project / "tmp"),
        }
        to_file = ("sh", "-c", 'exec "$@" >stdout.txt', "sh")
        async with running_server(project, command=to_file, env=env) as server:
            visitor = Visitor(server, canaries, key)
            await visitor.answers_and_failures()
            await visitor.repeated_keys()
            await visitor.broken_bodies()
            await visitor.odd_requests()
            await visitor.uploads()
            await visitor.malformed()
            await visitor.leaving()
            assert (await fetch(server.port, "/health", method="GET")).status == 200
            server.signal(signal.SIGTERM)
            assert await server.exit_code() == 0
            log = server.log

    assert log.count("call") > 50  # it did speak
    assert "without a valid key left out" in log
    assert "internal" not in log
    written = {path: path.read_bytes() for path in project.rglob("*") if is_new(path, project)}
    assert project / "stdout.txt" in written
    marked = {str(path): canaries.found_in(data) for path, data in written.items()}
    assert {path: names for path, names in marked.items() if names} == {}
    keys = [token for name, token in canaries.tokens.items() if "key" in name or name == "guess"]
    parts = [run for key in keys for data in written.values() for run in runs_of(key, data)]
    assert parts == []
