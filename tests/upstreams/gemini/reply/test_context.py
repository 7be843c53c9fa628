"""The context of the way back."""

from dataclasses import FrozenInstanceError

import pytest

from tests.upstreams.gemini.replies import a_context, a_plan


def test_nothing_on_the_way_back_can_change_the_call() -> None:
    context = a_context()

    with pytest.raises(FrozenInstanceError):
        context.plan = a_plan(choice_count=2).sent  # type: ignore[misc]  # that is the point
