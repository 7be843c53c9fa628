"""The methods of Google's models are spelled as Google's own SDK spells them."""

import inspect
import re

import google.genai.models
import pytest

from jarvis_proxy.wire.google_verbs import VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_googles_sdk_calls_the_method(verb: str) -> None:
    assert re.search(rf"\{{model\}}:{verb}['?]", inspect.getsource(google.genai.models))
