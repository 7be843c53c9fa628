"""Client secrets: a server asks for one, a browser opens a session with it, nothing else does."""

import json
import time
from typing import Any

import pytest

from jarvis_proxy.server import app as app_module
from tests.conftest import BEARER, KEY, OPENAI_KEY, Proxy, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.raw_websocket import TEXT, RawFrame, Refused, accept, opened

SECRET = "ek_upstream_canary_0123456789"
BODY: dict[str, object] = {
    "expires_after": {"anchor": "created_at", "seconds": 600},
    "session": {"type": "realtime", "model": "gpt-realtime", "instructions": "Be kind."},
}


def later(seconds: float = 600) -> int:
    return int(time.time() + seconds)


class Service:
    """An upstream that gives secrets, and takes sessions with them; *answer* is its own."""

    def __init__(self, answer: dict[str, Any] | None = None, status: int = 200) -> None:
        self.answer = answer or {
            "value": SECRET,
            "expires_at": later(),
            "session": {"type": "realtime", "object": "realtime.session", "id": "sess_1"},
        }
        self.status = status
        self.refusal = 401
        self.upstream = RawUpstream(self._play)

    async def _play(self, peer: Peer, request: Received) -> None:
        if request.method == "POST":
            await peer.reply(json.dumps(self.answer).encode(), self.status)
        elif request.header("authorization") == f"Bearer {SECRET}":
            socket = await accept(peer, request, "realtime")
            while (frame := await socket.receive()) is not None:
                await socket.send(frame.opcode, frame.data)
        else:
            said = f"no {(request.header('authorization') or '')[7:]}"
            await peer.reply(json.dumps({"error": {"message": said}}).encode(), self.refusal)


async def ask(
    proxy: Proxy, path: str = "/v1/realtime/client_secrets", body: dict[str, object] = BODY
) -> RawResponse:
    return await fetch(proxy.port, path, body, BEARER)


def protocols(secret: str) -> list[str]:
    return ["realtime", f"openai-insecure-api-key.{secret}"]


async def test_the_secret_is_the_proxys_and_opens_a_session() -> None:
    service = Service()
    async with service.upstream.running(), running_proxy(service.upstream.base_url) as proxy:
        answer = await ask(proxy)
        given = json.loads(answer.body)
        names = protocols(given["value"])
        for query in ("?model=gpt-realtime", ""):
            async with opened(proxy.port, f"/v1/realtime{query}", {}, names) as socket:
                assert socket.headers["sec-websocket-protocol"] == "realtime"
                await socket.send(TEXT, b"{}")
                assert await socket.receive() == RawFrame(TEXT, b"{}")
    asked, *sessions = service.upstream.received
    line = proxy.logged()

    assert answer.status == 200
    assert SECRET.encode() not in answer.body
    assert given["value"].startswith("ek_")
    assert (given["expires_at"], given["session"]) == (
        service.answer["expires_at"],
        service.answer["session"],
    )
    assert json.loads(asked.body) == BODY
    assert asked.header("authorization") == f"Bearer {OPENAI_KEY}"
    assert [one.path for one in sessions] == ["/v1/realtime?model=gpt-realtime", "/v1/realtime"]
    for one in sessions:
        assert given["value"] not in str(one.headers)
    assert line.count("key=tester") == 3
    assert SECRET not in line
    assert given["value"] not in line
    assert "Be kind" not in line


async def test_the_betas_sessions_have_it_in_an_object_of_their_own() -> None:
    inner = {"value": SECRET, "expires_at": later()}
    service = Service({"id": "sess_1", "model": "gpt-realtime", "client_secret": inner})
    async with service.upstream.running(), running_proxy(service.upstream.base_url) as proxy:
        for path in ("/v1/realtime/sessions", "/v1/realtime/transcription_sessions"):
            answer = await ask(proxy, path, {"model": "gpt-realtime"})
            given = json.loads(answer.body)["client_secret"]
            async with opened(proxy.port, "/v1/realtime", {}, protocols(given["value"])) as socket:
                await socket.send(TEXT, b"{}")
                assert await socket.receive() == RawFrame(TEXT, b"{}")
            assert SECRET.encode() not in answer.body


async def test_a_secret_of_an_interpreter_opens_its_session() -> None:
    service = Service()
    async with service.upstream.running(), running_proxy(service.upstream.base_url) as proxy:
        answer = await ask(proxy, "/v1/realtime/translations/client_secrets")
        path, secret = "/v1/realtime/translations?model=gpt-x", json.loads(answer.body)["value"]
        async with opened(proxy.port, path, {}, protocols(secret)) as socket:
            await socket.send(TEXT, b"{}")
            assert await socket.receive() == RawFrame(TEXT, b"{}")
    asked, opening = service.upstream.received
    assert asked.path == "/v1/realtime/translations/client_secrets"
    assert opening.path == path


async def test_a_secret_opens_sessions_only() -> None:
    service = Service()
    async with service.upstream.running(), running_proxy(service.upstream.base_url) as proxy:
        secret = json.loads((await ask(proxy)).body)["value"]
        headers = {"Authorization": f"Bearer {secret}"}
        for path in ("/v1/realtime/client_secrets", "/v1/realtime/calls", "/v1/chat/completions"):
            assert (await fetch(proxy.port, path, BODY, headers)).status == 401
        models = await fetch(proxy.port, "/v1/models", headers=headers, method="GET")
        assert models.status == 401


@pytest.mark.parametrize("change", ["expired", "changed", "another server", "another key"])
async def test_a_secret_that_is_not_valid(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    if change == "expired":
        service.answer["expires_at"] = later(-1)
    async with service.upstream.running():
        async with running_proxy(service.upstream.base_url) as proxy:
            secret = json.loads((await ask(proxy)).body)["value"]
        if change == "changed":
            secret = secret[:-2] + ("AA" if secret[-2:] != "AA" else "BB")
        if change == "another server":
            monkeypatch.setattr(app_module, "_SECRET", bytes(32))
        keys = f"tester:{'other-key-0123456789ab' if change == 'another key' else KEY}"
        async with running_proxy(service.upstream.base_url, PROXY_API_KEYS=keys) as proxy:
            with pytest.raises(Refused) as refused:
                async with opened(proxy.port, headers={}, protocols=protocols(secret)):
                    pass
    assert refused.value.response.status == 401
    assert len(service.upstream.received) == 1


async def test_workers_share_what_seals_a_secret() -> None:
    """Another application of this process stands for another worker: both were forked from it."""
    service = Service()
    async with (
        service.upstream.running(),
        running_proxy(service.upstream.base_url) as one,
        running_proxy(service.upstream.base_url) as other,
    ):
        secret = json.loads((await ask(one)).body)["value"]
        async with opened(other.port, headers={}, protocols=protocols(secret)) as socket:
            await socket.send(TEXT, b"{}")
            assert await socket.receive() == RawFrame(TEXT, b"{}")


@pytest.mark.parametrize(
    ("refusal", "code"), [(401, "invalid_api_key"), (403, None)], ids=["401", "403"]
)
async def test_a_secret_that_the_upstream_takes_no_more(refusal: int, code: str | None) -> None:
    service = Service()
    service.refusal = refusal
    async with service.upstream.running(), running_proxy(service.upstream.base_url) as proxy:
        service.answer["value"] = "ek_another_canary_0123456789"
        secret = json.loads((await ask(proxy)).body)["value"]
        with pytest.raises(Refused) as refused:
            async with opened(proxy.port, headers={}, protocols=protocols(secret)):
                pass
        assert proxy.context.endpoints["openai"].key_pool.quarantined(time.monotonic()) == 0
    response = refused.value.response
    assert (response.status, response.error().get("code")) == (refusal, code)
    assert b"canary" not in response.body
    assert "canary" not in proxy.logged()


async def test_a_secret_does_not_lead_to_another_upstream() -> None:
    service = Service()
    async with service.upstream.running():
        url = service.upstream.base_url
        env = {"UPSTREAMS": "voice", "VOICE_BASE_URL": url, "VOICE_API_KEY": "voice-key-01234567"}
        async with running_proxy(url, **env) as proxy:
            secret = json.loads((await ask(proxy)).body)["value"]
            path = "/v1/realtime?model=voice/talker"
            with pytest.raises(Refused) as refused:
                async with opened(proxy.port, path, {}, protocols(secret)):
                    pass
    assert refused.value.response.status == 404


async def test_a_limited_key_asks_for_its_models_only() -> None:
    service = Service()
    env = {"KEY_TESTER_MODELS": "gpt-realtime"}
    async with (
        service.upstream.running(),
        running_proxy(service.upstream.base_url, **env) as proxy,
    ):
        transcription = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        bodies: list[dict[str, object]] = [
            {"session": {"model": "gpt-4o-realtime-preview"}},
            {"session": {"model": "gpt-realtime", **transcription}},
            {"model": "gpt-4o-realtime-preview"},
            {},
        ]
        for body in bodies:
            answer = await ask(proxy, body=body)
            assert (answer.status, answer.error()["code"]) == (404, "model_not_found"), body
        secret = json.loads((await ask(proxy)).body)["value"]
        path = "/v1/realtime?model=gpt-4o-realtime-preview"
        with pytest.raises(Refused):
            async with opened(proxy.port, path, {}, protocols(secret)):
                pass
        async with opened(proxy.port, headers={}, protocols=protocols(secret)) as socket:
            await socket.send(TEXT, b"{}")
            assert await socket.receive() == RawFrame(TEXT, b"{}")


@pytest.mark.parametrize(
    ("status", "answer", "seen", "code"),
    [
        (400, {"error": {"message": "no", "code": "bad"}}, 400, "bad"),
        (401, {"error": {"message": f"key {OPENAI_KEY}"}}, 502, "upstream_auth_failed"),
        (200, {"id": "x"}, 502, "upstream_bad_response"),
        (200, {"value": SECRET, "note": f"it is {SECRET}"}, 502, "upstream_bad_response"),
    ],
)
async def test_what_is_no_secret(status: int, answer: dict[str, Any], seen: int, code: str) -> None:
    service = Service(answer, status)
    async with service.upstream.running(), running_proxy(service.upstream.base_url) as proxy:
        response = await ask(proxy)
    assert (response.status, response.error()["code"]) == (seen, code)
    assert OPENAI_KEY.encode() not in response.body
    assert SECRET.encode() not in response.body


async def test_what_is_no_request_for_one() -> None:
    async with running_proxy() as proxy:
        broken = await fetch(proxy.port, "/v1/realtime/client_secrets", b"[]", BEARER)
        google = await ask(proxy, body={"session": {"model": "gemini-3-flash"}})
    assert (broken.status, broken.error()["code"]) == (400, "invalid_json")
    assert (google.status, google.error()["code"]) == (426, "websocket_not_served")
