"""Annotations: bytes to characters, fences in between, and what cannot be placed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.upstreams.gemini.reply.frames import CitationMetadata, CitationSource
from jarvis_proxy.upstreams.gemini.reply.grounding import (
    GENERATED_PART,
    Piece,
    annotate,
    count_searches,
    public_citations,
    public_metadata,
)
from jarvis_proxy.wire.chat_types import Annotation

WEB = {"web": {"uri": "https://example.com/a", "title": "example.com"}}


def segment(text: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    return {"segment": {"startIndex": start, "endIndex": end, "text": text, **more}}


def annotations(
    pieces: list[Piece], *segments: dict[str, Any], chunks: list[Any] | None = None
) -> list[Annotation]:
    supports = [{"groundingChunkIndices": [0], **s} for s in segments]
    metadata = {"groundingChunks": chunks or [WEB], "groundingSupports": supports}
    return annotate(json.dumps(metadata).encode(), pieces)


def marked(pieces: list[Piece], *segments: dict[str, Any]) -> list[str]:
    """Return the text that each annotation marks in the content."""
    content = "".join(text for _, text in pieces)
    found = (a.url_citation for a in annotations(pieces, *segments))
    return [content[c.start_index : c.end_index] for c in found]


def test_offsets_are_bytes_there_and_characters_here() -> None:
    text = "Heute 21 °C – schön. Morgen Regen."
    wanted = "Morgen Regen."
    start = text.encode().index(wanted.encode())

    (annotation,) = annotations([(0, text)], segment(wanted, start, start + len(wanted)))

    citation = annotation.url_citation
    assert (citation.start_index, citation.end_index) == (21, 34)
    assert (citation.url, citation.title) == ("https://example.com/a", "example.com")
    assert annotation.type == "url_citation"


@given(
    st.lists(st.text(st.sampled_from("aé世😀 .\n"), min_size=1), min_size=1, max_size=6),
    st.data(),
)
def test_any_place_in_any_frames_is_found(texts: list[str], data: st.DataObject) -> None:
    whole = "".join(texts)
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start + 1, len(whole)))
    wanted = whole[start:end]
    at = len(whole[:start].encode())

    (annotation,) = annotations(
        [(0, text) for text in texts], segment(wanted, at, at + len(wanted.encode()))
    )

    citation = annotation.url_citation
    assert (citation.start_index, citation.end_index) == (start, end)


def test_an_absent_start_is_zero() -> None:
    support = {"segment": {"endIndex": 2, "text": "ab"}}

    assert marked([(0, "abc")], support) == ["ab"]


def test_what_the_proxy_wrote_into_the_content_does_not_count() -> None:
    pieces = [
        (GENERATED_PART, "<think>hm</think>"),
        (0, "é first. "),
        (GENERATED_PART, "\n```x```\n"),
        (0, "second"),
    ]

    found = marked(pieces, segment("é first.", 0, 9), segment("second", 10, 16))

    assert found == ["é first.", "second"]


def test_a_segment_that_ends_before_a_fence_does_not_take_it_in() -> None:
    pieces = [(0, "first"), (GENERATED_PART, "FENCE"), (0, "second")]

    assert marked(pieces, segment("first", 0, 5)) == ["first"]
    assert marked(pieces, segment("", 0, 5)) == ["first"]


def test_a_part_that_is_named_is_where_offsets_begin() -> None:
    pieces = [(0, "aaaa"), (2, "aaaa bbbb")]

    (annotation,) = annotations(pieces, segment("aaaa", 0, 4, partIndex=2))

    assert annotation.url_citation.start_index == 4


def test_a_segment_elsewhere_than_it_says_is_searched_for() -> None:
    """Offsets are characters in some recordings, and of another text in others."""
    text = "x “q” one. two. three. one."

    assert marked([(0, text)], segment("three.", 16, 22)) == ["three."]
    assert marked([(0, text)], segment("one.", 2, 6)) == ["one."]
    assert marked([(0, text)], segment("two.", 900, 904)) == ["two."]


def test_of_several_places_the_nearest_is_taken() -> None:
    text = "é one. " + "." * 40 + " one."
    near_end = annotations([(0, text)], segment("one.", 47, 51))
    near_start = annotations([(0, text)], segment("one.", 2, 6))

    assert near_end[0].url_citation.start_index == 48
    assert near_start[0].url_citation.start_index == 2


@pytest.mark.parametrize(
    "support",
    [
        segment("nowhere", 0, 7),
        segment("abc", 0, 0),
        segment("abc", 3, 1),
        segment("abc", -3, 1),
        segment("", 0, 99),
        {"segment": None},
        {},
        {**segment("abc", 0, 3), "groundingChunkIndices": [7, -1]},
        {**segment("abc", 0, 3), "groundingChunkIndices": None},
    ],
)
def test_what_has_no_place_or_no_source_is_left_out(support: dict[str, Any]) -> None:
    assert annotations([(0, "abc")], support) == []


def test_each_claim_has_one_annotation_for_each_source() -> None:
    chunks = [
        WEB,
        {"retrievedContext": {"uri": "https://example.com/b", "title": None}},
        {"maps": {"uri": "https://maps.example.com/c", "title": "C"}},
        {"retrievedContext": {"text": "a text without an address"}},
        {},
    ]
    support = {**segment("abc", 0, 3), "groundingChunkIndices": [0, 1, 2, 3, 4]}

    actual = annotations([(0, "abc")], support, chunks=chunks)

    assert [(a.url_citation.url, a.url_citation.title) for a in actual] == [
        ("https://example.com/a", "example.com"),
        ("https://example.com/b", ""),
        ("https://maps.example.com/c", "C"),
    ]


def test_the_upstream_cannot_make_the_proxy_build_without_end() -> None:
    support = {**segment("abc", 0, 3), "groundingChunkIndices": [0] * 5000}

    assert len(annotations([(0, "abc")], support)) == 1000


@pytest.mark.parametrize("raw", [b"{}", b"null", b"[]", b'{"groundingSupports":7}', b"\xff"])
def test_metadata_of_an_unknown_shape_gives_no_annotations(raw: bytes) -> None:
    assert annotate(raw, [(0, "abc")]) == []


def test_the_metadata_is_shown_without_googles_search_box() -> None:
    raw = b'{"webSearchQueries":["q"],"searchEntryPoint":{"renderedContent":"<style>"}}'

    assert public_metadata(raw) == {"webSearchQueries": ["q"]}
    assert public_metadata(b'{"searchEntryPoint":{}}') is None
    assert public_metadata(b"{}") is None
    assert public_metadata(b"[1]") is None
    assert public_metadata(b'{"a":"\xff"}') is None


def test_citations_hold_what_is_known() -> None:
    full = CitationSource(1, 9, "https://example.com", "t", "mit")
    metadata = CitationMetadata(citation_sources=[full, CitationSource(None, 5, "", None, "")])

    assert public_citations(metadata) == [
        {
            "start_index": 1,
            "end_index": 9,
            "uri": "https://example.com",
            "title": "t",
            "license": "mit",
        },
        {"start_index": 0, "end_index": 5},
    ]
    assert public_citations(CitationMetadata(citations=[full]))[0]["uri"] == "https://example.com"
    assert public_citations(CitationMetadata()) == []


@pytest.mark.parametrize(
    ("metadata", "count"),
    [
        (None, 0),
        ({}, 0),
        ({"webSearchQueries": ["a", "b"]}, 2),
        ({"webSearchQueries": None}, 0),
        ({"webSearchQueries": "a"}, 0),
    ],
)
def test_searches_are_counted_by_their_queries(
    metadata: dict[str, object] | None, count: int
) -> None:
    assert count_searches(metadata) == count


def test_a_segment_behind_the_end_ends_with_the_text() -> None:
    (annotation,) = annotations([(0, "Hi.")], segment("Hi.", 0, 90))

    assert (annotation.url_citation.start_index, annotation.url_citation.end_index) == (0, 3)
