"""The head of a request body: two fields of good ones, and a plain 400 for every bad one."""

import json
import re
import sys
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.request_head import (
    RequestHead,
    decode_head,
    wants_usage,
    with_model,
    without_long_strings,
)

CANARY = b"canary-prompt"


def refusal(body: bytes) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        decode_head(body)
    return caught.value


@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        (b"{}", None, None),
        (b'{"model":"gpt-4o"}', "gpt-4o", None),
        (b' {"stream" : true , "model" : "gpt-4o"}\r\n', "gpt-4o", True),
        (b'{"model":null,"stream":null}', None, None),
        (b'{"model":"","stream":false}', "", False),
        (b'{"model":"\\u006d\xc3\xb6del"}', "mödel", None),
        (b'{"messages":[{"model":"x","stream":1}],"model":"y"}', "y", None),
        (b'{"x":1e999,"model":"y"}', "y", None),
        (b'{"x":"\\ud83d\\ude00","model":"y"}', "y", None),
        pytest.param(b'{"x":"\\ud83d","model":"y"}', "y", None, id="high"),
        pytest.param(b'{"x":"\\uDE00 tail","model":"y"}', "y", None, id="low"),
        pytest.param(b'{"x":"\\ud83d\\n","stream":true}', None, True, id="before-escape"),
        pytest.param(b'{"\\ud83d":{"\\ude00":1},"model":"y"}', "y", None, id="names"),
        pytest.param(b'{"model":"y\\ud83d"}', "y\ufffd", None, id="model"),
        pytest.param(
            b'{"x":"' + b"a" * 70_000 + b'","z":"\\ud83d","model":"y"}', "y", None, id="large"
        ),
        (b'{"x":' + b"[" * 60 + b"]" * 60 + b',"model":"y"}', "y", None),
    ],
)
def test_head_is_model_and_stream(body: bytes, model: str | None, stream: bool | None) -> None:
    assert decode_head(body) == RequestHead(model, stream)


INVALID_JSON = {
    "empty": (b"", "it ends too early"),
    "blank": (b" \n", "it ends too early"),
    "cut": (b'{"model":"gpt', "it ends too early"),
    "cut literal": (b'{"stream":tr', "it ends too early"),
    "text": (CANARY, "at byte 0"),
    "single quotes": (b"{'model':'x'}", "at byte 1"),
    "trailing comma": (b'{"a":[1,]}', "at byte 8"),
    "trailing text": (b'{"model":"x"} ' + CANARY, "at byte 15"),
    "two objects": (b"{}{}", "at byte 3"),
    "comment": (b'{/* */"model":"x"}', "at byte 1"),
    "missing colon": (b'{"a" 1}', "at byte 5"),
    "NaN": (b'{"temperature":NaN}', "at byte 15"),
    "Infinity": (b'{"temperature":Infinity}', "at byte 15"),
    "-Infinity": (b'{"temperature":-Infinity}', "at byte 16"),
    "leading zero": (b'{"n":01}', "at byte 6"),
    "hexadecimal": (b'{"n":0x10}', "at byte 6"),
    "bare dot": (b'{"n":1.}', "at byte 7"),
    "control character": (b'{"a":"x\ny"}', "at byte 7"),
    "NUL": (b'{"a":"\x00"}', "at byte 6"),
    "wrong escape": (b'{"a":"\\q"}', "at byte 7"),
    "fault behind a lone surrogate": (b'{"a":"\\ud800",}', "at byte 14"),
    "cut behind a lone surrogate": (b'{"a":"\\ud800"', "it ends too early"),
    "very many lone surrogates": (
        b'{"a":"' + b"\\udc00" * 50_001 + b'"}',
        "it holds more than 50000 halves of surrogate pairs",
    ),
    "invalid UTF-8 in the model": (b'{"model":"\xff"}', "at byte 10: it is not UTF-8"),
    "invalid UTF-8 in a value": (b'{"a":"\xff"}', "at byte 6: it is not UTF-8"),
    "invalid UTF-8 in a name": (b'{"\xff":1}', "at byte 2: it is not UTF-8"),
    "invalid UTF-8 outside strings": (b'{"a":\xff}', "at byte 5: it is not UTF-8"),
    "overlong UTF-8": (b'{"a":"\xc0\xaf"}', "at byte 6: it is not UTF-8"),
    "surrogate in UTF-8": (b'{"a":"\xed\xa0\x80"}', "at byte 6: it is not UTF-8"),
    "cut UTF-8": ('{"a":"é'.encode()[:-1], "at byte 6: it is not UTF-8"),
    "Latin-1": ('{"a":"é"}'.encode("latin-1"), "at byte 6: it is not UTF-8"),
    "UTF-16 with BOM": ('{"model":"x"}'.encode("utf-16"), "at byte 0: it is not UTF-8"),
    "UTF-16-LE": ('{"model":"x"}'.encode("utf-16-le"), "at byte 1"),
    "UTF-16-BE": ('{"model":"x"}'.encode("utf-16-be"), "at byte 0"),
    "UTF-32": ('{"model":"x"}'.encode("utf-32-le"), "at byte 1"),
    "UTF-8 with BOM": (b'\xef\xbb\xbf{"model":"x"}', "at byte 0"),
    "open brackets": (b'{"a":' + b"[" * 200_000, "nested too deeply"),
    "nested arrays": (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deeply"),
    "nested objects": (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "nested too deeply"),
    "huge integer": (b'{"n":' + b"7" * 4300 + b"}", "4300 digits"),
    "huge negative integer": (b'{"n":-' + b"7" * 100_000 + b"}", "4300 digits"),
    "huge fraction": (b'{"n":0.' + b"7" * 5000 + b',"a":"' + CANARY + b'"}', "4300 digits"),
    "model twice": (b'{"model":"canary-prompt","model":"b"}', "names 'model' twice"),
    "model escaped twice": (b'{"model":"a","\\u006dodel":"b"}', "names 'model' twice"),
    "stream twice": (b'{"stream":true,"a":1,"stream":false}', "names 'stream' twice"),
    "stream escaped twice": (b'{"stream":true,"\\u0073tream":false}', "names 'stream' twice"),
    "array": (b'[{"model":"canary-prompt"}]', "must be a JSON object"),
    "bracket bomb": (b"[" * 200_000, "must be a JSON object"),
    "string": (b'"canary-prompt"', "must be a JSON object"),
    "number": (b"12", "must be a JSON object"),
    "null": (b"null", "must be a JSON object"),
}


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("body", "says"),
    [pytest.param(*case, id=name) for name, case in INVALID_JSON.items()],
)
def test_bad_body_is_a_400_that_says_where_and_shows_nothing(body: bytes, says: str) -> None:
    error = refusal(body)

    assert (error.status, error.code) == (400, "invalid_json")
    assert error.error_type == "invalid_request_error"
    assert error.should_retry is False
    assert says in error.message
    assert len(error.message) < 100
    assert CANARY.decode() not in error.message
    assert json.loads(error.body())["error"]["message"] == error.message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":1}', "model"),
        (b'{"model":["canary-prompt"]}', "model"),
        (b'{"model":{"a":"canary-prompt"}}', "model"),
        (b'{"model":true}', "model"),
        (b'{"stream":"canary-prompt"}', "stream"),
        (b'{"stream":1}', "stream"),
        (b'{"stream":' + b"9" * 5000 + b"}", "stream"),
        (b'{"m\\u006Fdel":1,"m\\u006fdel":null}', "model"),
    ],
)
def test_wrong_type_is_a_400_that_names_the_parameter(body: bytes, param: str) -> None:
    error = refusal(body)

    assert (error.status, error.code, error.param) == (400, "invalid_type", param)
    assert error.should_retry is False
    assert f"'{param}'" in error.message
    assert len(error.message) < 100
    assert CANARY.decode() not in error.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","messages":[{"role":"user","content":"say \\"model\\":\\"model\\""}]}',
        b'{"model":"a","tools":[{"model":"x","stream":1},{"model":"y","stream":2}]}',
        b'{"tools":[{"model":"x","model":"y"}],"model":"a"}',
        b'{"model":"a","\\u006d":1,"x":"\\u0061\\u007a"}',
        b'{"model":"a","x":"\\u00e9\\u2028"}',
    ],
)
def test_name_that_comes_again_further_inside_is_no_duplicate(body: bytes) -> None:
    assert decode_head(body).model == "a"


@pytest.mark.parametrize(
    "digits",
    [
        b'"' + b"7" * 100_000 + b'"',
        b'"\\"' + b"7" * 100_000 + b'"',
        b'"\\\\","b":"' + b"7" * 100_000 + b'"',
        b'["' + b"7" * 9000 + b'",' + b"7" * 4299 + b"]",
        b"7" * 4299,
        b"-" + b"7" * 4299,
        b"[" + b"1," * 5000 + b"1]",
    ],
)
def test_digits_in_strings_and_numbers_of_allowed_length_pass(digits: bytes) -> None:
    assert decode_head(b'{"a":' + digits + b',"model":"x"}').model == "x"


@pytest.mark.parametrize(
    ("depth", "max_depth", "fits"),
    [(7, 7, True), (8, 7, False), (64, 64, True), (65, 64, False), (300, None, True)],
)
def test_body_may_nest_as_deep_as_the_limit_says(
    depth: int, max_depth: int | None, fits: bool
) -> None:
    inner = depth - 1
    body = b'{"a":"[[[[[[[[","b":' + b"[" * inner + b"]" * inner + b',"model":"m"}'

    if fits:
        assert decode_head(body, max_depth).model == "m"
        return
    with pytest.raises(ProxyError, match=f"too deeply, more than {max_depth} levels") as caught:
        decode_head(body, max_depth)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


@pytest.mark.parametrize(("size", "searched"), [(200_000, True), (300_000, False)])
def test_only_a_body_of_moderate_size_is_searched_for_a_name_given_twice(
    size: int, searched: bool
) -> None:
    """The decoder takes the last one; of a conversation of megabytes nothing more is asked."""
    body = b'{"model":"a","x":["' + b'","'.join([b"x" * 997] * (size // 1000)) + b'"],"model":"b"}'

    if searched:
        assert "twice" in refusal(body).message
    else:
        assert decode_head(body).model == "b"


_LONG_STRING = b"QUJD" * 20_000


@pytest.mark.parametrize(
    ("body", "outline"),
    [
        (b'{"a":"%b","model":"m"}', b'{"a":"","model":"m"}'),
        (b'{"a":"x\\"y","b":["%b"],"model":"m"}', b'{"a":"x\\"y","b":[""],"model":"m"}'),
        (b'{"a":"x\\\\","b":"%b","model":"m"}', b'{"a":"x\\\\","b":"","model":"m"}'),
        (b'{"a":"%b\\n","b":"%b","model":"m"}', None),
        (b'{"a":"%b","b":"%b","model":"m"}', b'{"a":"","b":"","model":"m"}'),
        (b'"%b"', b'""'),
        (b"%b", None),
        (b'{"a":"%b', None),
    ],
)
def test_long_strings_are_looked_past(body: bytes, outline: bytes | None) -> None:
    whole = body.replace(b"%b", _LONG_STRING)
    expected = outline
    if outline is None:  # what has an escape in it, or no end, stays
        expected = whole if b"\\n" not in body else b'{"a":"%b\\n","b":"","model":"m"}'
        expected = expected.replace(b"%b", _LONG_STRING)

    assert without_long_strings(whole) == expected


def test_body_of_backslashes_is_not_counted_through() -> None:
    """Once it was, byte by byte, from each quote on: seconds for a body of megabytes."""
    whole = b'{"a":"%b","b":"%b","model":"m"}' % (b"\\\\" * 100_000, _LONG_STRING)

    assert without_long_strings(whole) is whole
    assert decode_head(whole).model == "m"


@pytest.mark.parametrize("count", range(1, 8))
def test_quote_behind_backslashes_ends_a_string_if_they_are_even(count: int) -> None:
    end = b"" if count % 2 == 0 else b'"'
    whole = b'{"a":"%b"%b,"b":"%b","model":"m"}' % (b"\\" * count, end, _LONG_STRING)

    assert without_long_strings(whole) == whole.replace(_LONG_STRING, b"")
    assert decode_head(whole).model == "m"


def test_body_of_very_many_strings_is_not_searched_to_its_end() -> None:
    whole = b'{"a":[' + b'"a",' * 1100 + b'"%b"]}' % _LONG_STRING

    assert without_long_strings(whole) is whole


@given(
    st.dictionaries(
        st.text(max_size=4),
        st.one_of(st.text(max_size=8), st.integers(), st.lists(st.text(max_size=3), max_size=3)),
        max_size=5,
    ),
    st.integers(0, 5),
    st.sampled_from(["x", '"', "\\", "é", "/", "\n"]),
    st.booleans(),
)
def test_head_is_the_same_with_a_long_string_anywhere(
    fields: dict[str, object], place: int, end: str, ascii_only: bool
) -> None:
    pairs = [(name, value) for name, value in fields.items() if name not in ("model", "stream")]
    pairs.insert(min(place, len(pairs)), ("picture", "A" * 70_000 + end))
    body = json.dumps({**dict(pairs), "model": 'm"x', "stream": True}, ensure_ascii=ascii_only)

    head = decode_head(body.encode())

    assert (head.model, head.stream) == ('m"x', True)


@pytest.mark.parametrize("fault", [b"", b"]", b"}}", b',"x"', b"1"])
def test_error_after_a_long_string_has_its_position(fault: bytes) -> None:
    start = b'{"a":"' + _LONG_STRING + b'"'
    message = refusal(start + fault).message

    found = re.search(r"at byte (\d+)|ends too early", message)
    assert found is not None
    if found[1]:
        assert int(found[1]) >= len(start)


@pytest.mark.parametrize("lead", range(0, 4400, 97))
def test_huge_number_is_found_wherever_it_stands(lead: int) -> None:
    body = b'{"a":"' + b"1" * lead + b'","b":' + b"7" * 4300 + b"}"

    assert "4300 digits" in refusal(body).message


@pytest.mark.parametrize("repeat", [b"", b',"y":{"model":1}'])
def test_any_depth_gives_a_head_or_a_400(repeat: bytes) -> None:
    """Near the limit one decoder gives up where another does not: neither may raise its own."""
    outcomes: set[object] = set()
    for depth in range(sys.getrecursionlimit() - 250, sys.getrecursionlimit() + 50):
        body = b'{"x":' + b"[" * depth + b"]" * depth + b',"model":"m"' + repeat + b"}"
        try:
            outcomes.add(decode_head(body).model)
        except ProxyError as error:
            outcomes.add(error.code)

    assert "m" in outcomes
    assert outcomes <= {"m", "invalid_json"}


@pytest.mark.parametrize("levels", [4, 64])
def test_depth_has_a_limit_where_one_is_given(levels: int) -> None:
    inner = levels - 1
    body = b'{"x":' + b"[" * inner + b"]" * inner + b',"model":"m"}'

    assert decode_head(body, levels).model == "m"
    with pytest.raises(ProxyError, match=f"nested too deeply, more than {levels - 1} levels"):
        decode_head(body, levels - 1)


@settings(deadline=None)
@given(st.binary())
@example(b'{"model":"\xff')
def test_arbitrary_bytes_give_a_head_or_a_400(body: bytes) -> None:
    try:
        status = 200 if decode_head(body) else 0
    except ProxyError as error:
        status = error.status

    assert status in (200, 400)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
BODIES = st.dictionaries(
    st.sampled_from(["messages", "tools", "user", "n", "é", "a\nb"]), JSON_VALUES
)


@pytest.mark.slow
@settings(deadline=None)
@given(BODIES, st.text() | st.none(), st.booleans() | st.none(), st.booleans())
def test_any_object_gives_its_head(
    body: dict[str, object], model: str | None, stream: bool | None, ensure_ascii: bool
) -> None:
    text = json.dumps({**body, "model": model, "stream": stream}, ensure_ascii=ensure_ascii)

    assert decode_head(text.encode()) == RequestHead(model, stream)


@pytest.mark.slow
@settings(deadline=None)
@given(BODIES, st.text(), st.text())
def test_only_the_model_is_changed(body: dict[str, object], old: str, new: str) -> None:
    text = json.dumps({"model": old, **body}, ensure_ascii=False).encode()

    assert json.loads(with_model(text, new)) == {**body, "model": new}


@pytest.mark.parametrize(
    "body",
    [
        b'{ "a" : 1.50 , "model":%b, "b":[ 1,  2e0 ],"c":"\\u00e9\\/" }\n',
        b'{"a":1,"a":{"model":"x"},"model"\t:\r\n%b}',
        b'{"tools":[{"model":"x"}],"a\\"model":"x","b":"\\"model\\":\\"x\\"","model": %b}',
        b' {"model":%b,"big":12345678901234567890123,"x":"\\ud83d","model2":"model"}',
    ],
)
@pytest.mark.parametrize("old", [b'"old"', b'"o\\"ld\\\\"', b"null", b'""'])
def test_all_other_bytes_stay(body: bytes, old: bytes) -> None:
    assert with_model(body % old, "new\né") == body % b'"new\\n\xc3\xa9"'


def test_a_name_in_escapes_is_written_anew() -> None:
    body = b'{ "\\u006dodel" : "old", "a": [ 1 ] }'

    assert with_model(body, "x") == b'{"model":"x","a":[ 1 ]}'


def test_lone_surrogates_keep_their_bytes_with_another_model() -> None:
    body = rb'{"a":"\ud83d ~half0~d83d","\uDE00":"\ude00","model":"x\ud83d","b":"\ud83d\ude00"}'

    assert with_model(body, "~half1~d83d") == (
        rb'{"a":"\ud83d ~half0~d83d","\uDE00":"\ude00","model":"~half1~d83d","b":"\ud83d\ude00"}'
    )


def test_model_is_added_where_none_was_named() -> None:
    assert with_model(b'{"a":1}', "x") == b'{"a":1,"model":"x"}'
    assert with_model(b'{ "a" : 1,"a":2, "b":"\\ud83d" } \n', "x") == (
        b'{ "a" : 1,"a":2, "b":"\\ud83d" ,"model":"x"} \n'
    )
    assert with_model(b" { }", "x") == b' { "model":"x"}'


def test_model_cannot_be_put_into_an_abyss() -> None:
    with pytest.raises(ProxyError, match="nested too deeply"):
        with_model(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "x")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"stream_options":{"include_usage":true}}', True),
        (b'{"a":"\\ud83d","stream_options":{"include_usage":true}}', True),
        (b'{"stream_options":{"include_usage":false}}', False),
        (b'{"stream_options":{"include_usage":null}}', False),
        (b'{"stream_options":{"include_usage":"yes"}}', False),
        (b'{"stream_options":{"other":"include_usage"}}', False),
        (b'{"stream_options":null,"include_usage":true}', False),
        (b'{"messages":"\\"include_usage\\": true"}', False),
        (b"{}", False),
        (b'{"include_usage"', False),
        (b'{"a":' + b"[" * 200_000 + b']"include_usage"', False),
    ],
)
def test_usage_is_wanted_only_where_the_options_say_so(body: bytes, expected: bool) -> None:
    assert wants_usage(body) is expected


@pytest.mark.parametrize("before", [0, 1, 4, 7])
def test_utf8_is_checked_in_pieces(before: int) -> None:
    """As text, a body with an emoji would take four times its size."""
    body = b'{"model":"m","a":"' + b"x" * before + "é€🦀".encode() * 400_000 + b'"}'
    tracemalloc.start()
    try:
        assert decode_head(body).model == "m"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 3 * len(body)
    at = len(body) - 2
    for broken in (b"\x80", b"\xc3", b"\xf0\x9f\xa6"):
        with pytest.raises(ProxyError) as caught:
            decode_head(body[:at] + broken + body[at:])
        assert f"at byte {at}: it is not UTF-8" in caught.value.message


def test_a_body_of_more_fields_than_anyone_means_is_refused() -> None:
    fields = ",".join(f'"k{number}":1' for number in range(20_000))

    assert decode_head(b"{%b}" % fields.encode()).model is None
    assert "20000 fields" in refusal(b'{"model":"a",%b}' % fields.encode()).message
