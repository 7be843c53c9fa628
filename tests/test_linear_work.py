"""The work of translating a request grows with its size and no faster, whatever its shape.

Counted are calls of functions, not time: those of Python and those of C, which it makes itself.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.shapes import CHAT, RESPONSES, Shape
from bench.work_shapes import WORK
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.schema.clean import clean_as
from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SchemaForm
from jarvis_proxy.wire.request_head import decode_head, with_model
from jarvis_proxy.wire.work_budget import BASE_STEPS, MAX_STEPS, WorkBudget
from tests.support.call_count import function_calls
from tests.support.translated import gemini

pytestmark = pytest.mark.slow

ENDPOINTS = {CHAT: "chat/completions", RESPONSES: "responses", "/v1/embeddings": "embeddings"}
SHAPES = [shape for shape in WORK if shape.path in ENDPOINTS and not shape.coding]


def calls_of(job: Callable[[], object]) -> tuple[int, bool]:
    """Return how many functions *job* calls, and whether it refuses the request."""
    count, error = function_calls(job)
    if error is not None and not isinstance(error, ProxyError):
        raise error
    return count, error is not None


def translate(shape: Shape, body: bytes) -> None:
    """Do to *body* what is done before anything is sent."""
    decode_head(body, 64)
    with_model(body, "other")
    call = Call(
        endpoint=ENDPOINTS[shape.path],
        model="gemini-2.5-flash",
        target_model="gemini-2.5-flash",
        stream=False,
        body=body,
        id="id",
        created=0,
        now=0.0,
    )
    upstream = gemini()
    upstream.exchange(call, {}, upstream.needs(call).decoded)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_twice_the_request_is_twice_the_work(shape: Shape) -> None:
    def work(size: int) -> tuple[int, int, bool]:
        body = shape.body(size)
        count, is_refused = calls_of(lambda: translate(shape, body))
        return count, len(body), is_refused

    (small, small_size, _), (large, large_size, is_refused) = work(80_000), work(160_000)

    # A refused request may stop anywhere, so its work has only an upper end.
    assert large <= 2.3 * small * large_size / (2 * small_size) + 2000 or is_refused
    assert large <= 12 * (BASE_STEPS + large_size)


LEAF = st.sampled_from([{}, True, None, {"type": "string"}, {"enum": list(range(30))}])
NAMES = st.sampled_from(["A", "B", "C"])
REFS = NAMES.map(lambda name: {"$ref": f"#/$defs/{name}"})


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, max_size=6)
    fields = st.dictionaries(st.sampled_from("abcdefgh"), inner, max_size=6)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", ["string", "null"]]),
            "allOf": several,
            "anyOf": several,
            "properties": fields,
            "patternProperties": fields,
            "required": st.lists(st.sampled_from("abcdefgh"), max_size=20),
            "items": inner,
            "not": inner,
            "default": st.lists(st.integers(0, 9), max_size=50),
            "description": st.text(max_size=200),
            "$ref": NAMES.map(lambda name: f"#/$defs/{name}"),
        },
    )


SCHEMAS: st.SearchStrategy[Any] = st.recursive(LEAF | REFS, _schemas, max_leaves=25)
FORMS = [FULL, SchemaForm(limits=False), SchemaForm(loops=False), SchemaForm(depth=5)]


@given(
    parts=st.tuples(SCHEMAS, SCHEMAS, SCHEMAS),
    inner=SCHEMAS,
    copies=st.integers(1, 60),
    form=st.sampled_from(FORMS),
    limit=st.sampled_from([500, 5_000, 50_000]),
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_work_on_a_schema_is_left_uncounted(
    parts: tuple[Any, Any, Any], inner: Any, copies: int, form: SchemaForm, limit: int
) -> None:
    schema = {
        "$defs": dict(zip("ABC", parts, strict=True)),
        "properties": {f"p{number}": inner for number in range(copies)},
    }
    size = len(msgspec.json.encode(schema))
    work = WorkBudget(limit)
    out: list[object] = []

    calls, is_refused = calls_of(
        lambda: out.append(clean_as(schema, form, param="p", work=work).schema)
    )

    assert is_refused is (work.steps > limit)
    assert calls <= 40 * work.steps + 1000
    if not is_refused:
        assert len(msgspec.json.encode(out[0])) <= 300 * work.steps + size


class Garbage:
    """An object that only the collector frees, and that calls functions when it goes."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(10):
            len("")


def test_garbage_of_others_is_not_counted() -> None:
    def job() -> None:
        _ = [[number] for number in range(100_000)]

    alone = calls_of(job)
    for _ in range(100):
        Garbage()

    assert calls_of(job) == alone


def test_the_largest_request_has_the_largest_budget() -> None:
    work = WorkBudget.for_body(64 * 1024 * 1024)
    work.spend(MAX_STEPS)

    assert work.steps == MAX_STEPS
