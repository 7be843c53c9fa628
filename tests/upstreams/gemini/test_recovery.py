"""Refusals and what is changed after them: Google's words in the variants that were reported."""

import re

import pytest

from jarvis_proxy.upstreams.gemini.model_traits import NEWEST
from jarvis_proxy.upstreams.gemini.recovery import (
    NO_FALLBACKS,
    REMEDIES,
    RequestFallbacks,
    remedies,
)
from jarvis_proxy.upstreams.gemini.request.schema.form import SAFE_DEPTH, SchemaForm

NO_LIMITS = RequestFallbacks(schemas=SchemaForm(limits=False))
NO_LOOPS = RequestFallbacks(schemas=SchemaForm(loops=False))
SHALLOW = RequestFallbacks(schemas=SchemaForm(depth=SAFE_DEPTH))
PLACEHOLDERS = RequestFallbacks(sentinel_signatures=True)
NO_THINKING = RequestFallbacks(no_thinking=True)
USER_LAST = RequestFallbacks(user_last=True)
ANYTHING = RequestFallbacks(schemas=SchemaForm(limits=False), soft_choice=True, own_thoughts=False)
LEARN = "Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini"
TURN = "Requests ending with a model turn are not supported"

FIRST: dict[str, tuple[str, RequestFallbacks]] = {
    "bare": ("Request contains an invalid argument.", ANYTHING),
    "no full stop": ("request contains an invalid argument", ANYTHING),
    "status": ("INVALID_ARGUMENT: Request contains an invalid argument.", ANYTHING),
    "wrapped": ('{"error":{"message":"Request contains an invalid argument."}}', ANYTHING),
    "status alone": ("INVALID_ARGUMENT", ANYTHING),
    "depth of a tool": (
        "A FunctionDeclaration in the request exceeds the maximum allowed nesting depth.",
        SHALLOW,
    ),
    "depth of a named tool": (
        "FunctionDeclaration 'f' in the request exceeds the maximum allowed nesting depth.",
        SHALLOW,
    ),
    "depth of the answer": (
        "A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.",
        SHALLOW,
    ),
    "loop": (
        "ref loops are only supported if they include optional or nullable property values, or a "
        "potentially-zero-length array items, but a ref loop of required fields was found at "
        "$defs.AndFilter.properties.and",
        NO_LOOPS,
    ),
    "states": (
        "The specified schema produces a constraint that has too many states for serving. Typical "
        "causes of this error are schemas with lots of text",
        NO_LIMITS,
    ),
    "not enabled": ("Thinking is not enabled for models/gemini-x", NO_THINKING),
    "budget 0": (
        "Budget 0 is invalid. This model only works in thinking mode.",
        NO_THINKING,
    ),
    "budget": ("The thinking budget (52428) is invalid.", NO_THINKING),
    "no budget": ("Thinking budget is not supported for this model.", NO_THINKING),
    "no level": ("Thinking level is not supported for this model.", NO_THINKING),
    "level": (
        "Thinking level MINIMAL is not supported for this model. Please use another level.",
        NO_THINKING,
    ),
    "vertex level": (
        f"Unable to submit request because thinking_level is not supported by this model.. {LEARN}",
        NO_THINKING,
    ),
    "vertex thoughts": (
        "Unable to submit request because Thinking_config.include_thoughts is only enabled when "
        f"thinking is enabled.. {LEARN}",
        NO_THINKING,
    ),
    "vertex off": (
        "Unable to submit request because Thinking can't be disabled for this model. Remove "
        "'thinking_config.thinking_budget' from your request and try again.",
        NO_THINKING,
    ),
    "vertex zero": ("The model does not support setting thinking_budget to 0", NO_THINKING),
    "unknown field": (
        'Invalid JSON payload received. Unknown name "thinkingLevel" at '
        "'generation_config.thinking_config': Cannot find field.",
        NO_THINKING,
    ),
    "unknown thoughts": ('Unknown name "includeThoughts": Cannot find field.', NO_THINKING),
    "missing": (
        "Function call is missing a thought_signature in functionCall parts. This is required for "
        "tools to work correctly, and missing thought_signature may lead to degraded model "
        "performance. Additional data, function call `default_api:f` , position 2.",
        PLACEHOLDERS,
    ),
    "vertex missing": (
        "Unable to submit request because function call `f` in the 2. content block is missing a "
        "`thought_signature`.",
        PLACEHOLDERS,
    ),
    "not valid": ("Thought signature is not valid", PLACEHOLDERS),
    "corrupted": ("Corrupted thought signature.", PLACEHOLDERS),
    "base64": (
        "Invalid value at 'contents[2].parts[0].thought_signature' (TYPE_BYTES), Base64 decoding "
        'failed for "abc"',
        PLACEHOLDERS,
    ),
    "camel": ("thoughtSignature: expected bytes", PLACEHOLDERS),
    "model turn": (f"{TURN}.", USER_LAST),
    "model turn, long": (f"{TURN} unless the last part is a function response.", USER_LAST),
    "user role": (
        "Please ensure that multiturn requests ends with a user role or a function response.",
        USER_LAST,
    ),
    "single turn": ("Please ensure that single turn requests end with a user role.", USER_LAST),
    "mode": (
        "Function calling config mode ANY is not supported for this model.",
        RequestFallbacks(soft_choice=True),
    ),
    "mode, other order": ("VALIDATED mode is not supported.", RequestFallbacks(soft_choice=True)),
    "tools of both kinds": (
        "Tool call context circulation is not enabled for models/x",
        RequestFallbacks(separate_tools=True),
    ),
    "type": (
        "Unsupported MIME type: image/gif",
        RequestFallbacks(refused_types=frozenset({"image/gif"})),
    ),
    "vertex type": (
        "Unable to submit request because it has a mimeType parameter with value image/svg+xml, "
        "which is not supported.",
        RequestFallbacks(refused_types=frozenset({"image/svg+xml"})),
    ),
}


@pytest.mark.parametrize(("message", "relaxed"), FIRST.values(), ids=FIRST)
def test_refusal_is_known_in_the_words_that_users_report(
    message: str, relaxed: RequestFallbacks
) -> None:
    assert next(remedies(message, NO_FALLBACKS)) == relaxed


@pytest.mark.parametrize(
    "message",
    [
        "",
        "API key not valid. Please pass a valid API key.",
        "The input token count (9) exceeds the maximum number of tokens allowed (8).",
        "models/x is not found for API version v1beta",
        "Please use a valid role: user, model.",
        "any mode of transport",
        "Unsupported MIME type: ",
    ],
)
def test_other_words_are_no_reason_to_try_again(message: str) -> None:
    for relaxed in remedies(message, NO_FALLBACKS):
        assert relaxed.refused_types == frozenset()


@pytest.mark.parametrize(("message", "relaxed"), FIRST.values(), ids=FIRST)
def test_each_change_is_made_once(message: str, relaxed: RequestFallbacks) -> None:
    tried, now = [NO_FALLBACKS], NO_FALLBACKS
    while (following := next(remedies(message, now), None)) is not None:
        assert following not in tried
        tried.append(following)
        now = following

    assert len(tried) <= 3


def test_fallbacks_from_before_stay() -> None:
    now = NO_FALLBACKS
    for message, _ in FIRST.values():
        now = next(remedies(message, now), now)

    assert now == RequestFallbacks(
        sentinel_signatures=True,
        user_last=True,
        separate_tools=True,
        no_thinking=True,
        own_thoughts=False,
        schemas=SchemaForm(limits=False, loops=False, depth=SAFE_DEPTH),
        soft_choice=True,
        free_choice=True,
        refused_types=frozenset({"image/gif"}),
    )


def test_message_of_any_length_is_looked_at_in_part() -> None:
    assert next(remedies("x" * 10_000 + "thought_signature", NO_FALLBACKS), None) is None


def test_each_row_says_how_it_is_named() -> None:
    for remedy in REMEDIES:
        assert remedy.change(NO_FALLBACKS) != NO_FALLBACKS
        re.compile(remedy.named)


def test_refusals_correct_what_is_known_of_a_model() -> None:
    old = RequestFallbacks(sentinel_signatures=True, user_last=True, separate_tools=True).traits(
        NEWEST
    )

    assert (old.signatures, old.prefill, old.mixes_tools) == ("required", False, False)
    assert NO_FALLBACKS.traits(NEWEST) is NEWEST
