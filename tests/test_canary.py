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
import signal
from pathlib import Path
from typing import Any

import pytest

from jarvis_proxy.canonical.sealed_state import GOOGLE_MARK
from tests.support.canaries import Canaries, forms, runs_of
from tests.support.marked_sessions import ENDS, visit_sessions
from tests.support.marked_upstreams import anthropic, chat_service, gemini
from tests.support.raw_client import connect, fetch
from tests.support.server_process import ROOT, Server, make_project, running_server

pytestmark = pytest.mark.slow

Json = dict[str, Any]
CHAT = "/v1/chat/completions"
SEALED = "reasoning.encrypted_content"


@pytest.mark.parametrize("spell", range(len(forms("x" * 20))))
def test_marks_are_found_in_every_form(spell: int) -> None:
    canaries = Canaries()
    token = canaries.new("mark")
    canaries.new("other")

    assert canaries.found_in(b"some log: " + forms(token)[spell] + b" end") == ["mark"]
    assert canaries.found_in(b"some log: nothing") == []


def _text(said: str) -> Json:
    return {"type": "text", "text": said}


def _as_googles(seal: str) -> str:
    """Return *seal* as Google's clients carry it; one without an owner is Google's own."""
    return base64.b64encode(f"jarvis:{seal}".encode()).decode() if ":" in seal else seal


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
        self._canaries.note_seals(response.body)
        self._check(received)
        return response.status

    def _check(self, received: bytes) -> None:
        """Check that a client has got no key of an upstream."""
        for name, key in self._canaries.tokens.items():
            if name.startswith("key for"):
                assert runs_of(key, received) == [], name

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

    async def every_pair(self) -> None:
        """Each client API on each kind of upstream, with state of every owner in the history."""
        models = ("gpt-4o", "deepseek-chat", "gemini-3.5-flash", "claude-sonnet-5")
        wants = ("", "want-400", "want-cut", "want-key", "want-nonsense")
        for model, want, stream in itertools.product(models, wants, (False, True)):
            said = self._canaries.text(f"pair {model} {want} {stream}")
            for path, body in self._conversations(model, f"{want} {said}", stream=stream):
                status = await self.post(body, path)
                assert want or status == 200, (model, path)
        asked: Json = {"model": "gpt-4o", "messages": [{"role": self._canaries.new("odd role")}]}
        for path in ("/v1/messages", "/v1/messages/count_tokens", "/anthropic/v1/messages"):
            await self.post({**asked, "max_tokens": self._canaries.new("odd number")}, path)
            await self.post(b"{" + self._canaries.text("odd message").encode(), path)

    def _conversations(self, model: str, said: str, *, stream: bool) -> list[tuple[str, Json]]:
        """Return one conversation as a client of each API holds it, and the address for it."""
        new, user = self._canaries.new, {"role": "user", "content": said}
        seals = [f"{owner}{new(f'seal {said} {owner}')}" for owner in ("gemini:", "chat.up:", "")]
        blocks = [{"type": "thinking", "thinking": said, "signature": one} for one in seals]
        signed = {"google": {"thought_signature": new(f"signature {said}")}}
        model_said = {"content": said, "reasoning_content": said, "extra_content": signed}
        items = [{"type": "reasoning", "summary": [], "encrypted_content": one} for one in seals]
        parts = [{"text": said, "thoughtSignature": _as_googles(one)} for one in seals]
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        chat = [user, {"role": "assistant", **model_said, "thinking_blocks": blocks}, user]
        messages = [user, {"role": "assistant", "content": [*blocks, _text(said)]}, user]
        contents = [{"role": role, "parts": parts} for role in ("user", "model", "user")]
        asked: Json = {"model": model, "stream": stream}
        return [
            (CHAT, {**asked, "messages": chat}),
            ("/v1/responses", {**asked, "input": [user, *items, user], "include": [SEALED]}),
            ("/v1/messages", {**asked, "max_tokens": 9, "messages": messages}),
            (f"/v1beta/models/{model}:{verb}", {"contents": contents}),
        ]

    async def media(self) -> None:
        """Sound, pictures and texts to go on with, on Gemini: as JSON and in forms."""
        new, kind = self._canaries.new, "multipart/form-data; boundary=B"
        odd, link = new("odd value"), f"data:image/png;base64,{new('drawing')}"
        files = {name: (new(f"{name} name"), new(f"{name} content")) for name in ("file", "image")}
        for want, stream in itertools.product(("", "want-400", "want-cut"), (False, True)):
            said = f"{want} {self._canaries.text(f'media {want} {stream}')}"
            speech = {"model": "gemini-2.5-flash-preview-tts", "input": said, "instructions": said}
            how = {"stream_format": "sse"} if stream else {}
            for form in ("pcm", "mp3", odd):
                asked = {**speech, **how, "voice": odd, "response_format": form}
                await self.post(asked, "/v1/audio/speech")
            drawing = {"model": "gemini-2.5-flash-image", "prompt": said, "stream": stream}
            await self.post(drawing, "/v1/images/generations")
            await self.post({**drawing, "size": odd}, "/v1/images/edits")
            await self.post({**drawing, "images": [{"image_url": link}]}, "/v1/images/edits")
            await self.post({**drawing, "model": "imagen-4"}, "/v1/images/generations")
            text = {"model": "gemini-3.5-flash", "prompt": said, "stream": stream}
            await self.post(text, "/v1/completions")
            for path in ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits"):
                model = drawing["model"] if path.endswith("edits") else text["model"]
                fields = {"model": str(model), "prompt": said, "stream": str(stream)}
                await self.post(_form(fields, files), path, Content_Type=kind)

    async def relayed(self) -> None:
        """Every other endpoint, on OpenAI, on a service with chat only, and on Anthropic."""
        new, kind = self._canaries.new, "multipart/form-data; boundary=B"
        texts = ("moderations", "images/generations", "audio/speech", "completions", "embeddings")
        forms = ("audio/transcriptions", "audio/translations", "images/variations", "files")
        more = ("rerank", "responses/compact", "responses/input_tokens")
        for model, want in (
            *itertools.product(("gpt-4o",), ("", "want-400", "want-cut", "want-key")),
            ("deepseek-chat", ""),
            ("claude-sonnet-5", ""),
        ):
            for path in (*texts, *more):
                said = f"{want} {self._canaries.text(f'relayed {path} {model} {want}')}"
                body = {"model": model, "input": said, "prompt": said, "voice": said}
                await self.post(body, f"/v1/{path}?x={new(f'query {path} {model} {want}')}")
            for path in forms:
                said = f"{want} {self._canaries.text(f'form {path} {model} {want}')}"
                files = {"image": (new(f"own name {path}"), new(f"own content {path}"))}
                form = _form({"model": model, "prompt": said}, files)
                await self.post(form, f"/v1/{path}", Content_Type=kind)

    async def sessions(self) -> None:
        """Sessions of /v1/realtime, their secrets, and calls over WebRTC."""
        key = self._headers["Authorization"].removeprefix("Bearer ")
        for received in await visit_sessions(self._port, self._canaries, key):
            self._check(received)
        offer = f"v=0 {self._canaries.text('offer')}".encode()
        path = f"/v1/realtime/calls/{self._canaries.new('call')}"
        await self.post(offer, path, Content_Type="application/sdp")

    async def repeated_keys(self) -> None:
        """Upstreams repeat the proxy's keys, and a client puts its own where names belong."""
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
        wrong = {"Authorization": f"Bearer {guess}", "User_Agent": guess}
        # Together: some of them past the burst, and past the lines of a second.
        await asyncio.gather(*(self.post(b"{}", **wrong) for _ in range(30)))

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
    """Return whether *path* is a file that is not the proxy's code, byte for byte."""
    original = ROOT / path.relative_to(project)
    is_code = original.is_file() and filecmp.cmp(original, path, shallow=False)
    return path.is_file() and not is_code


def _form(fields: dict[str, str], files: dict[str, tuple[str, str]]) -> bytes:
    """Return a form; *files* are names and contents."""
    head = '--B\r\nContent-Disposition: form-data; name="'
    texts = [f'{head}{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    texts += [
        f'{head}{name}"; filename="{filename}.wav"\r\n\r\n{content}\r\n'
        for name, (filename, content) in files.items()
    ]
    return ("".join(texts) + "--B--\r\n").encode()


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_nothing_that_is_said_is_written_anywhere(tmp_path: Path, log_format: str) -> None:
    canaries = Canaries()
    project = make_project(tmp_path / "project")
    for name in ("home", "tmp"):
        (project / name).mkdir()
    openai, deepseek = chat_service(canaries), chat_service(canaries)
    google, claude = gemini(canaries), anthropic(canaries)
    key = canaries.new("client key")
    async with openai.running(), deepseek.running(), google.running(), claude.running():
        env = {
            "PROXY_API_KEYS": f"somebody:{key}",
            "OPENAI_API_KEY": canaries.new("key for OpenAI"),
            "GEMINI_API_KEY": canaries.new("key for Gemini"),
            "OPENAI_BASE_URL": openai.base_url,
            "GEMINI_BASE_URL": google.base_url,
            "ANTHROPIC_API_KEY": canaries.new("key for Anthropic"),
            "ANTHROPIC_BASE_URL": claude.base_url,
            "UPSTREAMS": "deepseek",
            "DEEPSEEK_API_KEY": canaries.new("key for DeepSeek"),
            "DEEPSEEK_BASE_URL": deepseek.base_url,
            "DEEPSEEK_MODELS": "deepseek-*",
            "DEEPSEEK_APIS": "chat",
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
            await visitor.every_pair()
            await visitor.answers_and_failures()
            await visitor.repeated_keys()
            await visitor.broken_bodies()
            await visitor.odd_requests()
            await visitor.uploads()
            await visitor.media()
            await visitor.relayed()
            await visitor.sessions()
            await visitor.malformed()
            await visitor.leaving()
            assert (await fetch(server.port, "/health", method="GET")).status == 200
            server.signal(signal.SIGTERM)
            assert await server.exit_code() == 0
            log = server.log

    assert log.count("call") > 50  # it did speak
    given = [name.split()[1] for name in canaries.tokens if name.startswith("seal ")]
    for owner in ("gemini:", "anthropic:", "chat.deepsee", GOOGLE_MARK, "canary"):
        assert any(seal.startswith(owner) for seal in given), owner  # clients did get them
    assert "without a valid key left out" in log
    assert "internal" not in log
    assert log.count("route=/v1/realtime") + log.count('"route":"/v1/realtime') > len(ENDS)
    written = {path: path.read_bytes() for path in project.rglob("*") if is_new(path, project)}
    assert project / "stdout.txt" in written
    marked = {str(path): canaries.found_in(data) for path, data in written.items()}
    assert {path: names for path, names in marked.items() if names} == {}
    keys = [token for name, token in canaries.tokens.items() if "key" in name or name == "guess"]
    parts = [run for key in keys for data in written.values() for run in runs_of(key, data)]
    assert parts == []
