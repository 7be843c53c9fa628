"""Speech in a format that the model does not give: encoded once all of it is there. IO."""

from aiohttp import web

from jarvis_proxy.dialects.speech.answer import delta_events, done_event
from jarvis_proxy.dialects.speech.request import CONTENT_TYPES, SPEECH, UNENCODED, decode_speech
from jarvis_proxy.server.context import ADMITTED_CALL, CONTEXT, MATCH, RECORD
from jarvis_proxy.server.relay.client_stream import SSE_HEADERS


async def encoded(
    request: web.Request, body: bytes, answer: web.StreamResponse
) -> web.StreamResponse:
    """Return *answer* in the format that *body* asked for; any but unencoded speech as it is.

    Raises:
        ProxyError: 500 `audio_encoding_failed`; 503 `overloaded`, there is no memory for it.
    """
    if request[MATCH].endpoint != SPEECH or not isinstance(answer, web.Response):
        return answer
    if answer.headers.get("Content-Type") != UNENCODED or not isinstance(answer.body, bytes):
        return answer
    asked, wav = decode_speech(body), answer.body
    memory = request[ADMITTED_CALL].open_reservation()
    memory.set(2 * len(wav))
    sound = await request.app[CONTEXT].sound_encoder.encode(wav, asked.format, asked.speed or 1.0)
    headers = {"Content-Type": CONTENT_TYPES[asked.format]}
    record = request[RECORD]
    if asked.sends_events:
        end = done_event(record.prompt_tokens or 0, record.completion_tokens or 0)
        sound, headers = b"".join((*delta_events(sound), end)), SSE_HEADERS
    memory.set_unchecked(len(sound))
    record.bytes_out = len(sound)
    kept = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
    return web.Response(body=sound, headers={**kept, **headers})
