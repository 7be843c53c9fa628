"""Single settings: cleaning, numbers, flags, placeholders."""

import pytest

from jarvis_proxy.config.parsers import (
    EnvReader,
    clean,
    file_path,
    flag,
    is_placeholder,
    is_secret,
    mebibytes,
    model_name,
    seconds,
    split,
    whole,
)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("", ""),
        ("  a  ", "a"),
        ("a\r\n", "a"),
        ("\ufeffa", "a"),
        ('"a b"', "a b"),
        ("'a'", "a"),
        ('"a"  # why', "a"),
        ('"a # b"', "a # b"),
        ('"a', '"a'),
        ("a # why", "a"),
        ("a\t#why", "a"),
        ("a#b", "a#b"),
        ("# why", ""),
        ("#why", ""),
        ("''", ""),
    ],
)
def test_space_quotes_and_comments_around_a_value_go(raw: str, value: str) -> None:
    assert value == clean(raw)


@pytest.mark.parametrize(
    "text",
    [
        "xxx",
        "sk-xxx",
        "sk-xxxxxxxxxxxxxxxx",
        "SK-XXX",
        "sk-proj-xxx",
        "sk-...",
        "sk-…",
        "AIzaSyxxx",
        "AIzaSyXXXXXXXX",
        "AIza...",
        "your-key",
        "your_openai_api_key",
        "your key here",
        "sk-your-key",
        "<your key>",
        "changeme",
        "change-me",
        "replace_me",
    ],
)
def test_what_example_files_hold_is_a_placeholder(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text", ["sk-xxxa", "xx", "AIzaSyA1", "yourkey", "jarvis-local-secret", "sk-ax", "", "ollama"]
)
def test_what_could_be_a_key_is_no_placeholder(text: str) -> None:
    assert not is_placeholder(text)


@pytest.mark.parametrize(
    ("text", "good"),
    [("sk-1_2.3/+=~!", True), ("a b", False), ("ü", False), ("", False), ("a\n", False)],
)
def test_a_secret_fits_into_a_header(text: str, good: bool) -> None:
    assert good is is_secret(text)


def test_empty_entries_of_a_list_are_skipped() -> None:
    assert split(" a ,, b c ,") == ["a", "b c"]


@pytest.mark.parametrize(("text", "value"), [("5", 5.0), ("0.05", 0.05), ("86400", 86400.0)])
def test_seconds_are_decimal(text: str, value: float) -> None:
    assert value == seconds(text)


@pytest.mark.parametrize("text", ["1e3", "1_000", "+5", ".5", "5.", "5 s", "0.0", "0x10", "1,5"])
def test_other_spellings_of_seconds_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number of seconds"):
        seconds(text)


def test_the_ends_of_a_range_belong_to_it() -> None:
    parse = whole(2, 4)

    assert [parse("2"), parse("4")] == [2, 4]
    for text in ("1", "5", "3.0", "²"):
        with pytest.raises(ValueError, match="must be a whole number from 2 to 4"):
            parse(text)


def test_a_size_in_mb_is_in_bytes() -> None:
    assert mebibytes(1, 8)("3") == 3 * 1024 * 1024


@pytest.mark.parametrize(
    ("text", "value"), [("TRUE", True), ("yes", True), ("1", True), ("off", False), ("No", False)]
)
def test_flags_have_several_words(text: str, value: bool) -> None:
    assert value is flag(text)


@pytest.mark.parametrize("text", ["gpt-4o", "ft:gpt-4o:acme::id", "@cf/meta/llama-3", "a+b"])
def test_model_names_are_taken_as_they_stand(text: str) -> None:
    assert text == model_name(text)


@pytest.mark.parametrize("text", ["a b", "a,b", "a=b", "a|b", "a*", "é", "x" * 257])
def test_a_name_that_breaks_a_list_is_no_model(text: str) -> None:
    with pytest.raises(ValueError, match="must be a model's name"):
        model_name(text)


def test_a_path_is_taken_as_it_stands() -> None:
    assert file_path("certs/my cert.pem") == "certs/my cert.pem"


def test_a_reader_says_the_same_problem_once() -> None:
    reader = EnvReader({"A": "\x00", "B": ""})

    assert [reader.text("A"), reader.text("A")] == ["", ""]
    assert len(reader.problems) == 1
    assert reader.problems == reader.problems_of("A")
    assert reader.problems_of("B") == []
    assert [reader.has("B"), reader.has("C")] == [True, False]


@pytest.mark.parametrize("text", ["a\x7f", "a\u2028b", "a\u00a0b", "\udc80", "a\tb"])
def test_invisible_characters_are_a_problem(text: str) -> None:
    reader = EnvReader({"A": text})

    assert reader.read("A", file_path, "dflt") == "dflt"
    assert len(reader.problems) == 1
