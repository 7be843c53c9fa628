"""Pictures and sound, told apart."""

from jarvis_proxy.upstreams.gemini.reply.frames import Blob
from jarvis_proxy.upstreams.gemini.reply.media import is_audio, is_image, to_image

PCM = "audio/L16;codec=pcm;rate=24000"


def test_kinds_are_told_by_type_and_only_where_there_is_data() -> None:
    assert is_image(Blob("image/png", "AA=="))
    assert is_image(Blob("IMAGE/PNG", "AA=="))
    assert is_audio(Blob(PCM, "AA=="))
    assert not any(is_image(b) for b in (Blob("image/png", ""), Blob(None, "AA=="), Blob(PCM, "A")))
    assert not any(is_audio(b) for b in (Blob(PCM, None), Blob("video/mp4", "AA==")))


def test_a_picture_is_a_data_url_in_the_standard_alphabet() -> None:
    image = to_image(Blob("image/png", "-_-_"), 3)

    assert image.image_url.url == "data:image/png;base64,+/+/"
    assert (image.index, image.type) == (3, "image_url")
