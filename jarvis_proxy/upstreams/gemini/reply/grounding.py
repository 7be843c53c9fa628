"""Converts Gemini's grounding to OpenAI's annotations and citations. Pure.

Google counts a segment's position in UTF-8 bytes of the model's text, OpenAI in characters of the
content. The content may be longer, by code blocks and thoughts that the proxy writes into it.

Source: https://ai.google.dev/gemini-api/docs/google-search (read 2026-11).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from jarvis_proxy.upstreams.gemini.reply.error_body import DECODE_ERRORS
from jarvis_proxy.upstreams.gemini.reply.frames import CitationMetadata, CitationSource
from jarvis_proxy.wire.chat_types import Annotation, URLCitation

GENERATED_PART: Final = -1
"""The part number of content that the model did not write as text: fences, think tags."""


Piece = tuple[int, str]
"""A piece of the content: the number of its part, and its text."""


class _Segment(msgspec.Struct, rename="camel"):
    part_index: int | None = None
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class _Support(msgspec.Struct, rename="camel"):
    segment: _Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class _Source(msgspec.Struct, rename="camel"):
    uri: str | None = None
    title: str | None = None


class _GroundingChunk(msgspec.Struct, rename="camel"):
    web: _Source | None = None
    retrieved_context: _Source | None = None
    maps: _Source | None = None


class _Grounding(msgspec.Struct, rename="camel"):
    grounding_chunks: list[_GroundingChunk] | None = None
    grounding_supports: list[_Support] | None = None


_GROUNDING: Final = msgspec.json.Decoder(_Grounding, strict=False)
_OBJECT: Final = msgspec.json.Decoder(dict[str, object])
# The upstream decides how many supports and chunks there are.
_MAX_ANNOTATIONS: Final = 1000


def annotate(raw: bytes, pieces: list[Piece]) -> list[Annotation]:
    """Return an annotation for each pair of claim and source in *raw*, a groundingMetadata.

    Skips pairs without a position in the content or without a URL. Metadata of an unknown shape
    gives none.
    """
    try:
        grounding = _GROUNDING.decode(raw)
    except DECODE_ERRORS:
        return []
    sources = [_source(chunk) for chunk in grounding.grounding_chunks or ()]
    places = _Places(pieces)
    annotations: list[Annotation] = []
    for support in (grounding.grounding_supports or ())[:_MAX_ANNOTATIONS]:
        if support.segment is None or (span := places.find(support.segment)) is None:
            continue
        for number in support.grounding_chunk_indices or ():
            source = sources[number] if 0 <= number < len(sources) else None
            if source is not None and len(annotations) < _MAX_ANNOTATIONS:
                citation = URLCitation(span[1], span[0], source.title or "", source.uri or "")
                annotations.append(Annotation(url_citation=citation))
    return annotations


def public_metadata(raw: bytes) -> dict[str, object] | None:
    """Return a groundingMetadata without the HTML of Google's search box, None if invalid."""
    try:
        metadata = _OBJECT.decode(raw)
    except DECODE_ERRORS:
        return None
    metadata.pop("searchEntryPoint", None)
    return metadata or None


def count_searches(metadata: Mapping[str, object] | None) -> int:
    """Return the number of web searches in a groundingMetadata."""
    queries = (metadata or {}).get("webSearchQueries")
    return len(queries) if isinstance(queries, list) else 0


def public_citations(metadata: CitationMetadata) -> list[dict[str, object]]:
    """Return the recited sources with their known fields; an absent start is 0."""
    sources = metadata.citation_sources or metadata.citations or ()
    return [_public(source) for source in sources]


def _public(source: CitationSource) -> dict[str, object]:
    known: dict[str, object] = {
        "start_index": source.start_index or 0,
        "end_index": source.end_index,
        "uri": source.uri,
        "title": source.title,
        "license": source.license,
    }
    return {name: value for name, value in known.items() if value not in (None, "")}


def _source(chunk: _GroundingChunk) -> _Source | None:
    source = chunk.web or chunk.retrieved_context or chunk.maps
    return source if source is not None and source.uri else None


class _Places:
    """Maps segments of the model's text to positions in the content."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces
        self._content = "".join(text for _, text in pieces)
        self._texts: dict[int | None, bytes] = {}

    def find(self, segment: _Segment) -> tuple[int, int] | None:
        """Return the start and end, in characters of the content, of *segment*.

        Offsets refer to the whole text or, if the segment names a part, to that part. If the text
        at that position differs from the segment's, the nearest position of its text is used.
        """
        start, end = segment.start_index or 0, segment.end_index or 0
        if not 0 <= start < end:
            return None
        for part in (segment.part_index, None):
            span = self._span(part, start, end)
            if span is not None and segment.text in (None, "", self._content[span[0] : span[1]]):
                return span
        return self._nearest(segment.text, self._character(None, start)) if segment.text else None

    def _span(self, part: int | None, start: int, end: int) -> tuple[int, int] | None:
        if end > len(self._text(part)):
            return None
        # Use the last character's own position, because a fence that does not belong may follow it.
        return self._character(part, start), self._character(part, end, closing=True)

    def _text(self, part: int | None) -> bytes:
        if part not in self._texts:
            own = (text for number, text in self._pieces if _counts(number, part))
            self._texts[part] = "".join(own).encode()
        return self._texts[part]

    def _character(self, part: int | None, offset: int, *, closing: bool = False) -> int:
        """Convert a byte *offset* in the text of *part* (None: of all) to an index in the content.

        With *closing*, a position between two pieces counts as the end of the first one.
        """
        left = len(self._text(part)[:offset].decode("utf-8", "ignore"))
        at = 0
        for number, text in self._pieces:
            size = len(text)
            if _counts(number, part):
                if left < size or (closing and left == size):
                    return at + left
                left -= size
            at += size
        return at

    def _nearest(self, text: str, wanted: int) -> tuple[int, int] | None:
        after = self._content.find(text, max(wanted, 0))
        before = self._content.rfind(text, 0, wanted + len(text))
        found = [at for at in (before, after) if at >= 0]
        if not found:
            return None
        start = min(found, key=lambda at: abs(at - wanted))
        return start, start + len(text)


def _counts(number: int, part: int | None) -> bool:
    """Return whether piece *number* belongs to the text of *part* (None: of the model)."""
    return number != GENERATED_PART if part is None else number == part
