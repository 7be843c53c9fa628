"""What the shell must know of a form."""

import pytest

from jarvis_proxy.dialects.form_calls import asks_for_stream
from jarvis_proxy.errors import ProxyError
from tests.support.forms import CONTENT_TYPE, form, part


@pytest.mark.parametrize(
    ("parts", "streams"),
    [
        ((), False),
        ((part("stream", "true"),), True),
        ((part("stream", "1"),), True),
        ((part("stream", "false"),), False),
        ((part("stream", "True"), part("response_format", "text")), True),
        ((part("stream", "true"), part("response_format", "diarized_json")), True),
        ((part("stream", "true"), part("response_format", "srt")), False),
    ],
)
def test_streams(parts: tuple[bytes, ...], streams: bool) -> None:
    assert asks_for_stream(form(*parts), CONTENT_TYPE) == streams


def test_a_damaged_form_is_a_400() -> None:
    with pytest.raises(ProxyError, match="cannot be read"):
        asks_for_stream(b"", CONTENT_TYPE)
