"""Content parts become content blocks: pictures, documents, and the input of calls."""

import base64
import json
from typing import Any

import pytest

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.canonical.request import CanonicalRequest, SameParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.request.build import needs
from tests.upstreams.anthropic.chat import (
    PDF,
    PNG,
    Json,
    asking,
    assistant,
    body_for,
    call,
    ignored,
    image,
    refusal,
    result,
    text,
    turns_for,
    user,
)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"a":1}', {"a": 1}),
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ("[1]", {"value": [1]}),
        ('"{\\"a\\":1}"', {"a": 1}),
        ('{"a":', {"_raw_arguments": '{"a":'}),
    ],
)
def test_the_input_of_a_call_is_an_object(arguments: object, given: Json) -> None:
    turns = turns_for(user(), assistant(None, call(arguments=arguments)), result())

    assert turns[1][1][0]["input"] == given


def _file(**fields: object) -> Json:
    return {"type": "file", "file": fields}


def _only_block(part: Json, *, with_text: str = "", **options: Any) -> Json:
    (block,) = turns_for(user([part, text(with_text)]), **options)[0][1]
    assert isinstance(block, dict)
    return block


@pytest.mark.parametrize("url", [f"data:image/png;base64,{PNG}", PNG, f"data:;base64,{PNG}"])
def test_a_picture_is_sent_as_base64(url: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}

    assert _only_block(image(url)) == {"type": "image", "source": source}


def test_a_picture_of_another_kind_is_refused() -> None:
    data = base64.b64encode(b"BM0123456789").decode()
    error = refusal(asking(user([image(f"data:image/bmp;base64,{data}")])))

    assert (error.code, error.param) == ("invalid_image_format", "messages[0].content[0]")


LINK = "https://example.com/a.png"


def test_a_link_is_downloaded() -> None:
    request = CanonicalRequest(
        body=json.dumps(asking(user([image(LINK), _file(file_url=f"{LINK}?x")]))).encode(),
        params=SameParams(),
    )
    assert needs(request).urls == (LINK, f"{LINK}?x")
    assert needs(request, "pass").urls == ()

    block = _only_block(image(LINK), media={LINK: Media("image/png", base64.b64decode(PNG))})
    assert block["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}


def test_a_link_is_passed_on() -> None:
    block = _only_block(image(LINK), image_urls="pass")
    assert block["source"] == {"type": "url", "url": LINK}

    pdf = "https://example.com/a.pdf"
    block = _only_block(_file(file_url=pdf), image_urls="pass")
    assert block == {"type": "document", "source": {"type": "url", "url": pdf}}


@pytest.mark.parametrize(
    "options",
    [
        {"image_urls": "refuse"},
        {},
        {"media": {LINK: ProxyError(400, "gone", code="invalid_image_url")}},
        {"media": {LINK: Media("image/png", b"")}},
    ],
    ids=["refused", "not there", "failed", "empty"],
)
def test_a_link_that_cannot_be_had_is_refused(options: Json) -> None:
    error = refusal(asking(user([image(LINK)])), **options)

    assert (error.code, error.param) == ("invalid_image_url", "messages[0].content[0]")


def test_a_pdf_is_a_document() -> None:
    part = _file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf", context="c")
    block = _only_block(part)

    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    assert block == {"type": "document", "source": source, "title": "a.pdf", "context": "c"}


def test_a_text_file_is_a_document_of_text() -> None:
    data = base64.b64encode(b"a,b\n1,2").decode()
    block = _only_block(_file(file_data=data, filename="t.csv", title="T"))

    source = {"type": "text", "media_type": "text/plain", "data": "a,b\n1,2"}
    assert block == {"type": "document", "source": source, "title": "T"}


def test_a_picture_among_files_is_a_picture() -> None:
    assert _only_block(_file(file_data=f"data:image/png;base64,{PNG}"))["type"] == "image"


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (_file(file_id="file-1"), "invalid_file_id"),
        (_file(file_data=f"data:application/zip;base64,{PNG}"), "invalid_file"),
        (_file(), "missing_required_parameter"),
        (
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
            "unsupported_value",
        ),
        ({"type": "video_url", "video_url": {"url": LINK}}, "unsupported_value"),
        ({"type": "hologram"}, "invalid_value"),
        ({"type": "image_url"}, "missing_required_parameter"),
    ],
)
def test_what_claude_cannot_take_is_refused(part: Json, code: str) -> None:
    assert refusal(asking(user([part]))).code == code


def test_words_stand_for_sound_that_is_past() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}}
    body = asking(user([text("what?"), sound]), assistant("A bell."), user("thanks"))

    said = body_for(body)["messages"][0]["content"][1]["text"]
    assert said == "[audio left out: the model cannot take it]"
    assert ignored(body) == ("messages[0].content[1]",)


def test_input_is_never_a_string() -> None:
    assert turns_for(user(), assistant(None, call(arguments='"x"')), result())[1][1][0][
        "input"
    ] == {"value": "x"}


def test_a_refusal_of_the_past_is_text() -> None:
    turns = turns_for(user(), assistant([{"type": "refusal", "refusal": "no"}]), user())

    assert turns[1][1] == [text("no")]


def test_a_part_needs_a_type() -> None:
    assert refusal(asking(user([{}]))).param == "messages[0].content[0].type"


def test_a_file_behind_a_link_is_downloaded() -> None:
    url = "https://example.com/a"
    media = {url: Media("application/pdf", base64.b64decode(PDF))}

    source = _only_block(_file(file_url=url), media=media)["source"]
    assert source == {"type": "base64", "media_type": "application/pdf", "data": PDF}


def test_files_behind_links_are_75_mib_together_at_most() -> None:
    media = {LINK: Media("image/png", bytes(75 * 1024 * 1024 + 1))}
    error = refusal(asking(user([image(LINK)])), media=media)

    assert (error.code, error.param) == ("invalid_image_url", "messages[0].content[0]")
    assert "75 MiB" in error.message


@pytest.mark.parametrize("data", ["data:application/pdf;base64,%", "?"])
def test_data_that_is_no_base64_is_refused(data: str) -> None:
    error = refusal(asking(user([_file(file_data=data)])))

    assert error.code == "invalid_file"
    assert error.message.startswith("Invalid data: ")


def test_a_text_file_without_text_is_left_out() -> None:
    data = base64.b64encode(b" \n").decode()

    assert _only_block(_file(file_data=data, filename="a.txt"), with_text="hi") == text("hi")


@pytest.mark.parametrize(("wish", "sent"), [({"enabled": True}, True), ({"enabled": False}, False)])
def test_citations_are_asked_for_where_the_client_does(wish: Json, sent: bool) -> None:
    document = _file(file_data=f"data:application/pdf;base64,{PDF}", citations=wish)
    found = {"type": "search_result", "source": "s", "title": "t", "content": [text("a")]}

    for part in (document, found | {"citations": wish}):
        assert _only_block(part).get("citations") == ({"enabled": True} if sent else None)
