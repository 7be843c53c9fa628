"""Filtered answers as OpenAI's error."""

import pytest

from jarvis_proxy.canonical.answer import Finish
from jarvis_proxy.dialects.refusals import blocked


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish(reason="content_filter", native="IMAGE_SAFETY"), "IMAGE_SAFETY"),
        (Finish(reason="content_filter", native="PROMPT_BLOCKED:SAFETY"), "SAFETY"),
        (Finish(reason="content_filter", native="SAFETY", message="No weapons."), "No weapons."),
        (Finish(reason="content_filter"), "no reason given"),
    ],
)
def test_the_error_tells_the_reason(finish: Finish, reason: str) -> None:
    error = blocked(finish)

    assert (error.status, error.code) == (400, "moderation_blocked")
    assert error.message.endswith(f": {reason}")
    assert error.should_retry is False
