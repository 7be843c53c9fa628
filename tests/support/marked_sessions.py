"""Sessions of /v1/realtime whose every word is marked, at both ends. IO."""

import asyncio
import json
from typing import Final

from tests.support.canaries import Canaries
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, Received
from tests.support.raw_websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawSocket,
    Refused,
    accept,
    encode,
    opened,
)

ENDS: Final = ("close", "die", "cut", "break", "key", "401", "400", "html", "lost", "offend")
"""How a session ends, or what an upstream answers in place of one."""
SECRETS: Final = ("client_secrets", "sessions", "translations/client_secrets")
_MOST: Final = 5.0


def is_session(request: Received) -> bool:
    """Return whether an upstream is asked for a session, or for a secret for one."""
    return "/realtime" in request.path


async def play_session(canaries: Canaries, peer: Peer, request: Received) -> None:
    """Play the upstream's end: what the query of a handshake wants."""
    said = canaries.text(f"session says {len(canaries.tokens)}")
    end = request.path.rpartition("end=")[2]
    if request.method == "POST":
        await _give_secret(canaries, peer, request, said)
    elif end in ("400", "401"):
        error = {"message": said, "type": "t", "code": canaries.new("code"), "param": said}
        await peer.reply(json.dumps({"error": error}).encode(), int(end))
    elif end == "html":
        await peer.reply(f"<html>{said}</html>".encode(), 502, "text/html")
    elif end == "lost":
        await peer.send(b"HTTP/1.1 101 " + said.encode() + b"\r\nX: a\x00\r\n\r\n")
        peer.close()
    else:
        offered = request.header("sec-websocket-protocol") or ""
        socket = await accept(peer, request, "realtime" if "realtime" in offered else None)
        await _talk(canaries, peer, socket, said)
        key = (request.header("authorization") or "").removeprefix("Bearer ")
        if end == "key":
            await socket.event(type="error", error={"message": f"{said} {key}", "code": key})
            await socket.close(1008, key.encode()[:120])
        else:
            await _end(canaries, peer, socket, said, end)
        while await socket.receive() is not None:
            pass


async def _give_secret(canaries: Canaries, peer: Peer, request: Received, said: str) -> None:
    if "/calls" in request.path:
        await peer.reply(f"v=0 {said}".encode(), 201, "application/sdp", ["Location: /v1/call"])
        return
    if b"want-400" in request.body:
        await peer.reply(json.dumps({"error": {"message": said}}).encode(), 400)
        return
    secret = f"ek_{canaries.new(f'key for sessions {len(canaries.tokens)}')}"
    session = {"type": "realtime", "model": said, "client_secret": {"value": secret}}
    answer = {"value": secret, "expires_at": 2**33, "session": session}
    await peer.reply(json.dumps(answer).encode())


async def _talk(canaries: Canaries, peer: Peer, socket: RawSocket, said: str) -> None:
    await socket.event(type="session.created", session={"model": said, "instructions": said})
    await socket.receive()
    usage = {"input_tokens": 3, "output_tokens": 2, "note": said}
    await socket.event(type="response.done", response={"usage": usage, "output": [said]})
    await socket.event(type="error", error={"message": said, "code": canaries.new("code")})
    await socket.send(TEXT, b'{"usage":' + said.encode())  # it is no JSON
    await socket.send(BINARY, said.encode())
    await socket.send(PING, canaries.new("ping").encode())
    await socket.send(PONG, canaries.new("pong").encode())


async def _end(canaries: Canaries, peer: Peer, socket: RawSocket, said: str, end: str) -> None:
    match end:
        case "die":
            peer.reset()
        case "cut":
            await peer.send(encode(TEXT, said.encode() * 50, mask=False)[:300])
            peer.close()
        case "break":
            await peer.send(encode(3, said.encode(), mask=False))
        case "close":
            await socket.close(4000, canaries.new("reason").encode())


async def visit_sessions(port: int, canaries: Canaries, key: str) -> list[bytes]:
    """Walk all of it as a client; return all bytes that the client was sent."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    received: list[bytes] = []
    secret = ""
    for path in SECRETS:
        for want in ("", "want-400"):
            asked = canaries.text(f"instructions {path} {want}")
            session = {"model": "gpt-realtime", "instructions": f"{want} {asked}"}
            body: dict[str, object] = {
                "session": session,
                canaries.new(f"field {path} {want}"): asked,
            }
            answer = await fetch(port, f"/v1/realtime/{path}", body, headers)
            received.append(answer.body)
            if not want:
                secret = json.loads(answer.body)["value"]
                canaries.tokens[f"seal of a session {path}"] = secret
    mark = canaries.new("secret that is none")
    offers: tuple[list[str], ...] = (
        [],
        ["realtime", f"openai-insecure-api-key.{secret}"],
        [f"openai-project.{mark}"],
    )
    for number, end in enumerate(ENDS):
        query = f"model=gpt-realtime&x={canaries.new(f'query of {end}')}&end={end}"
        protocols = offers[number % 3]
        own = {} if secret in "".join(protocols) else {"Authorization": f"Bearer {key}"}
        path = "/v1/realtime/translations" if number % 2 else "/v1/realtime"
        received.append(await _hold(port, f"{path}?{query}", own, protocols, canaries))
    wrong = ["realtime", f"openai-insecure-api-key.ek_{mark}"]
    received.append(await _hold(port, "/v1/realtime?model=gpt-realtime", {}, wrong, canaries))
    return received


async def _hold(
    port: int, path: str, headers: dict[str, str], protocols: list[str], canaries: Canaries
) -> bytes:
    said = canaries.text(f"a client says {len(canaries.tokens)}")
    try:
        async with asyncio.timeout(_MOST), opened(port, path, headers, protocols) as socket:
            frames = [await socket.receive()]
            await socket.event(type="session.update", session={"model": said, "tools": [said]})
            await socket.send(TEXT, b"{" + said.encode())
            await socket.send(BINARY, said.encode())
            if path.endswith("=offend"):
                socket.writer.write(encode(3, said.encode(), mask=True))
            while (frame := await socket.receive()) is not None:
                frames.append(frame)
                if frame.opcode == CLOSE:
                    await socket.send(CLOSE, frame.data)
                    break
            return b" ".join(frame.data for frame in frames if frame is not None)
    except Refused as refused:
        return refused.response.body
    except ConnectionError:
        return b""
