"""Chat completions streams whose pieces come in any order that services are known to send."""

import json
from itertools import pairwise

from hypothesis import strategies as st

from tests.upstreams.chat.streams import Json, call, chunk

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
OBJECTS = st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=3)


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[Json], list[tuple[str, str]], str, str]:
    """Return chunks of an answer whose pieces interleave, its calls, its text and its thoughts."""
    calls = [
        (draw(TEXTS.filter(str.strip)), json.dumps(value))
        for value in draw(st.lists(OBJECTS, max_size=4))
    ]
    by_id = bool(calls) and draw(st.booleans())
    lanes: list[list[Json]] = []
    for number, (name, arguments) in enumerate(calls):
        index, call_id = (None if by_id else number), f"call_{number}"
        pieces = cut_at_text(arguments, draw(st.lists(st.integers(0, len(arguments)), max_size=4)))
        head = draw(st.booleans())  # the name comes by itself, or with the first piece
        lane = [call(index, call_id, name, None)] if head else []
        for piece in pieces:
            first = not lane
            repeats = by_id or first or draw(st.booleans())
            lane.append(call(index, call_id if repeats else None, name if first else None, piece))
        lanes.append(lane)
    texts = draw(st.lists(TEXTS.filter(str.strip), max_size=3))
    thoughts = draw(st.lists(TEXTS, max_size=3))
    lanes += [[chunk({"content": one}) for one in texts]]
    lanes += [[chunk({"reasoning_content": one}) for one in thoughts]]
    order = draw(st.permutations([n for n, lane in enumerate(lanes) for _ in lane]))
    queues = [iter(lane) for lane in lanes]
    chunks = [next(queues[number]) for number in order]
    return [*chunks, chunk(finish="stop")], calls, "".join(texts), "".join(thoughts)


def cut_at_text(text: str, cuts: list[int]) -> list[str]:
    """Return *text* cut at the given places."""
    places = [0, *sorted(cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]
