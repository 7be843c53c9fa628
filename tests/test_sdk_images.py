"""The official SDK on /v1/images/generations and /edits with Gemini and Imagen behind it."""

import base64
import contextlib
import io
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.google_media import GoogleMedia, blob, frame
from tests.support.raw_client import fetch

pytestmark = pytest.mark.slow

Json = dict[str, Any]
MODEL = "gemini-2.5-flash-image"
PRO = "gemini-3-pro-image"
IMAGEN = "imagen-4.0-generate-001"
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1024, 768) + bytes(100)
SKETCH = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 10, 20) + bytes(9)
USAGE = {
    "promptTokenCount": 300,
    "candidatesTokenCount": 1290,
    "thoughtsTokenCount": 10,
    "totalTokenCount": 1600,
}


def drawn(*, finish: str | None = "STOP", parts: list[Json] | None = None) -> Json:
    """Return the answer of a model that draws."""
    pictures = [blob(PNG, "image/png")] if parts is None else parts
    return frame(pictures, finish, usageMetadata=USAGE)


class Scene:
    """A proxy with a drawing Gemini behind it, and the SDK in front."""

    def __init__(self, proxy: Proxy, google: GoogleMedia) -> None:
        self.proxy = proxy
        self.google = google
        self.client = AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0)
        self.generate: Any = self.client.images.generate
        self.edit: Any = self.client.images.edit


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    google = GoogleMedia(drawn())
    async with google.upstream.running(), running_proxy(gemini=google.upstream.base_url) as proxy:
        scene = Scene(proxy, google)
        yield scene
        await scene.client.close()


def picture() -> io.BytesIO:
    file = io.BytesIO(PNG)
    file.name = "otter.png"
    return file


async def test_a_picture_and_what_google_is_asked(scene: Scene) -> None:
    drawn = await scene.client.images.generate(model=MODEL, prompt="An otter", size="1536x1024")

    assert drawn.data is not None
    assert drawn.data[0].b64_json == base64.b64encode(PNG).decode()
    assert (drawn.size, drawn.output_format, drawn.background) == ("1024x768", "png", "opaque")
    assert drawn.usage is not None
    assert (drawn.usage.input_tokens, drawn.usage.output_tokens) == (300, 1300)
    assert drawn.usage.input_tokens_details.text_tokens == 300
    assert drawn.usage.output_tokens_details is not None
    assert drawn.usage.output_tokens_details.image_tokens == 1290
    assert scene.google.paths == [f"/v1beta/models/{MODEL}:generateContent"]
    assert scene.google.sent == [
        {
            "contents": [{"role": "user", "parts": [{"text": "An otter"}]}],
            "generationConfig": {
                "responseModalities": ["IMAGE"],
                "imageConfig": {"aspectRatio": "3:2"},
            },
        }
    ]
    (line,) = [line for line in scene.proxy.logged().splitlines() if "images/generations" in line]
    assert "prompt_tokens=300 completion_tokens=1300" in line


async def test_a_size_of_many_pixels(scene: Scene) -> None:
    await scene.generate(model=PRO, prompt="An otter", size="3840x2160")
    raw = await scene.client.images.with_raw_response.generate(
        model=MODEL, prompt="An otter", size="3840x2160"
    )

    pro, flash = scene.google.sent
    assert pro["generationConfig"]["imageConfig"] == {"aspectRatio": "16:9", "imageSize": "4K"}
    assert flash["generationConfig"]["imageConfig"] == {"aspectRatio": "16:9"}
    assert raw.headers["x-jarvis-ignored"] == "size"


async def test_each_of_several_pictures_is_a_call(scene: Scene) -> None:
    drawn = await scene.generate(model=MODEL, prompt="An otter", n=3)

    assert len(drawn.data) == 3
    assert len(scene.google.sent) == 3
    assert drawn.usage.total_tokens == 4800


async def test_an_address_is_a_data_url(scene: Scene) -> None:
    drawn = await scene.generate(model=MODEL, prompt="An otter", response_format="url")

    assert drawn.data[0].url == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert drawn.data[0].b64_json is None


async def test_what_google_has_nothing_like_is_named(scene: Scene) -> None:
    raw = await scene.client.images.with_raw_response.generate(
        model=MODEL,
        prompt="An otter",
        size="1024x200",
        quality="high",
        background="transparent",
        moderation="low",
        output_format="webp",
        style="vivid",
    )

    assert raw.headers["x-jarvis-ignored"] == (
        "background, quality, moderation, output_format, style, size"
    )


async def test_sketches_are_partial_images(scene: Scene) -> None:
    sketch = {**blob(SKETCH, "image/jpeg"), "thought": True}
    scene.google.frames = [drawn(finish=None, parts=[sketch]), drawn()]
    stream = await scene.generate(model=PRO, prompt="An otter", stream=True, partial_images=2)
    partial, done = [event async for event in stream]

    assert (partial.type, partial.partial_image_index) == ("image_generation.partial_image", 0)
    assert (partial.size, partial.output_format) == ("20x10", "jpeg")
    assert base64.b64decode(partial.b64_json) == SKETCH
    assert done.type == "image_generation.completed"
    assert base64.b64decode(done.b64_json) == PNG
    assert (done.size, done.usage.output_tokens) == ("1024x768", 1300)
    assert scene.google.paths == [f"/v1beta/models/{PRO}:streamGenerateContent?alt=sse"]


async def test_unrequested_partial_images_are_left_out(scene: Scene) -> None:
    sketch = {**blob(SKETCH, "image/jpeg"), "thought": True}
    scene.google.frames = [drawn(parts=[sketch, blob(PNG, "image/png")])]
    stream = await scene.generate(model=PRO, prompt="An otter", stream=True)
    whole = await scene.generate(model=PRO, prompt="An otter", partial_images=2)

    assert [event.type async for event in stream] == ["image_generation.completed"]
    assert len(whole.data) == 1


async def test_pictures_are_edited(scene: Scene) -> None:
    edited = await scene.client.images.edit(
        model=MODEL, prompt="Add a hat, please!", image=[picture(), picture()], n=1
    )

    assert edited.data is not None
    assert edited.data[0].b64_json == base64.b64encode(PNG).decode()
    assert edited.usage is not None
    assert edited.usage.input_tokens_details.text_tokens == 5
    assert edited.usage.input_tokens_details.image_tokens == 295
    (sent,) = scene.google.sent
    *pictures, words = sent["contents"][0]["parts"]
    assert [one["inlineData"]["mimeType"] for one in pictures] == ["image/png"] * 2
    assert base64.b64decode(pictures[0]["inlineData"]["data"]) == PNG
    assert words == {"text": "Add a hat, please!"}


async def test_an_edit_is_streamed(scene: Scene) -> None:
    stream = await scene.edit(model=MODEL, prompt="A hat", image=picture(), stream=True)

    assert [event.type async for event in stream] == ["image_edit.completed"]


async def test_an_edit_may_be_json(scene: Scene) -> None:
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    body: Json = {"model": MODEL, "prompt": "A hat", "images": [{"image_url": url}]}
    answer = await fetch(scene.proxy.port, "/v1/images/edits", body, BEARER)

    assert answer.status == 200
    assert len(scene.google.sent[0]["contents"][0]["parts"]) == 2


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"size": "large"}, "size"),
        ({"size": "0x1024"}, "size"),
        ({"quality": "best"}, "quality"),
        ({"output_format": "svg"}, "output_format"),
        ({"output_format": "jpeg", "output_compression": 101}, "output_compression"),
        ({"background": "purple"}, "background"),
        ({"moderation": "none"}, "moderation"),
        ({"style": "cubist"}, "style"),
        ({"response_format": "file"}, "response_format"),
        ({"partial_images": 4}, "partial_images"),
        ({"model": "gemini-2.5-flash"}, "model"),
    ],
)
async def test_a_wrong_request_is_a_400_that_names_the_param(
    scene: Scene, asked: Json, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await scene.generate(**{"model": MODEL, "prompt": "An otter", **asked})

    assert refused.value.param == param
    assert scene.google.sent == []


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"mask": picture()}, "mask"),
        ({"image": ("a.png", b"")}, "image"),
        ({"image": ("a.gif", b"GIF89a")}, "image"),
        ({"n": "two"}, "n"),
        ({"input_fidelity": "low-ish"}, "input_fidelity"),
    ],
)
async def test_a_wrong_edit_is_a_400_that_names_the_param(
    scene: Scene, asked: Json, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await scene.edit(**{"model": MODEL, "prompt": "A hat", "image": picture(), **asked})

    assert refused.value.param == param


@pytest.mark.parametrize(
    ("images", "param"),
    [
        (None, "images"),
        ([{"file_id": "file-1"}], "images[0].file_id"),
        ([{}], "images[0].image_url"),
    ],
)
async def test_an_edit_needs_a_picture(scene: Scene, images: Any, param: str) -> None:
    body = {"model": MODEL, "prompt": "A hat", "images": images}
    answer = await fetch(scene.proxy.port, "/v1/images/edits", body, BEARER)

    assert (answer.status, answer.error()["param"]) == (400, param)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (drawn(finish="IMAGE_SAFETY", parts=[]), "moderation_blocked"),
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "moderation_blocked"),
        (drawn(parts=[{"text": "Which otter?"}]), "empty_response"),
    ],
)
async def test_no_picture_is_an_error(scene: Scene, answer: Json, code: str, stream: bool) -> None:
    scene.google.frames = [answer]

    with pytest.raises(openai.APIError) as failed:
        await events_of(scene, stream=stream)
    assert failed.value.code == code
    if code == "moderation_blocked":
        assert failed.value.type == "image_generation_user_error"
        assert "rejected by the safety system" in failed.value.message


async def events_of(scene: Scene, *, model: str = MODEL, stream: bool) -> list[Any]:
    """Return the events of a stream; a whole answer is one."""
    answer = await scene.generate(model=model, prompt="An otter", stream=stream)
    return [event async for event in answer] if stream else [answer]


async def test_googles_refusal_is_openais_error(scene: Scene) -> None:
    scene.google.error = (429, {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED"})

    with pytest.raises(openai.RateLimitError):
        await scene.generate(model=MODEL, prompt="An otter")


@pytest.mark.parametrize("model", [MODEL, IMAGEN])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_breaks_off_is_an_error(
    scene: Scene, model: str, stream: bool
) -> None:
    scene.google.frames = [drawn(finish=None), drawn()]
    scene.google.cut = True

    with pytest.raises(openai.APIError):
        await events_of(scene, model=model, stream=stream)


def predicted(count: int) -> Json:
    data = base64.b64encode(PNG).decode()
    return {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": data}] * count}


async def test_imagen_draws_four_at_a_time(scene: Scene) -> None:
    scene.google.frames = [predicted(4), predicted(2)]
    drawn = await scene.generate(model=IMAGEN, prompt="An otter", n=6, size="1536x1024")

    assert len(drawn.data) == 6
    assert drawn.usage is None
    assert scene.google.paths == [f"/v1beta/models/{IMAGEN}:predict"] * 2
    four, two = sorted(scene.google.sent, key=lambda sent: -sent["parameters"]["sampleCount"])
    assert four == {
        "instances": [{"prompt": "An otter"}],
        "parameters": {"sampleCount": 4, "aspectRatio": "4:3"},
    }
    assert two["parameters"]["sampleCount"] == 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("answer", [{}, {"predictions": [{"raiFilteredReason": "No otters."}]}])
async def test_imagen_that_filters_is_an_error(scene: Scene, answer: Json, stream: bool) -> None:
    scene.google.frames = [answer]

    with pytest.raises(openai.APIError) as failed:
        await events_of(scene, model=IMAGEN, stream=stream)
    assert failed.value.code == "moderation_blocked"


async def test_imagen_is_streamed_as_one_event(scene: Scene) -> None:
    scene.google.frames = [predicted(1)]

    (event,) = await events_of(scene, model=IMAGEN, stream=True)
    assert event.type == "image_generation.completed"


async def test_imagen_edits_nothing(scene: Scene) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await scene.edit(model=IMAGEN, prompt="A hat", image=picture())
    assert refused.value.param == "image"


async def test_imagen_draws_in_chat_too(scene: Scene) -> None:
    scene.google.frames = [predicted(1)]
    said: Any = await scene.client.chat.completions.create(
        model=IMAGEN, messages=[{"role": "user", "content": "An otter"}]
    )

    assert said.choices[0].message.images[0]["image_url"]["url"].startswith("data:image/png")


async def test_what_is_drawn_is_in_no_log(scene: Scene) -> None:
    scene.google.frames = [drawn(parts=[{"text": "canarywords"}])]
    with contextlib.suppress(openai.APIError):
        await scene.generate(model=MODEL, prompt="canaryprompt")
    scene.google.frames = [drawn()]
    await scene.edit(model=MODEL, prompt="canaryprompt", image=("canaryname.png", PNG))

    logged = scene.proxy.logged()
    assert "images/edits" in logged
    assert "canary" not in logged
    assert json.dumps(base64.b64encode(PNG[:30]).decode())[1:-1] not in logged
