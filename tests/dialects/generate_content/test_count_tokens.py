"""countTokens is estimated."""

import json
from typing import Any

import pytest

from jarvis_proxy.dialects.generate_content.count_tokens import count_tokens
from jarvis_proxy.errors import ProxyError
from tests.dialects.generate_content.requests import user

CONTENTS = [user({"text": "x" * 35})]


def count(**body: Any) -> int:
    answer = json.loads(count_tokens(json.dumps(body).encode()))
    assert answer.keys() == {"totalTokens"}
    return int(answer["totalTokens"])


def test_g4_c1_contents_cost_their_bytes_and_their_messages() -> None:
    assert count(contents=CONTENTS) == 18
    assert count(contents=[*CONTENTS, user({"text": "x" * 350})]) == 118


def test_g4_c1_a_whole_request_counts_with_its_tools() -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    asked = {"contents": CONTENTS, "tools": tools, "systemInstruction": "Be brief."}

    assert count(generateContentRequest={**asked, "model": "models/x"}) == count(**asked)
    assert count(generate_content_request=asked) > count(contents=CONTENTS) + 40


def test_g4_c1_what_is_no_request_is_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        count(generateContentRequest={"contents": []})

    assert caught.value.param == "contents"
