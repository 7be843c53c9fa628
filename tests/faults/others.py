"""Anthropic's and Google's official SDKs for Python, and what they saw of one stream. IO."""

import contextlib
import warnings
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import Any, Final

import anthropic
from google import genai
from google.genai import errors, types

from tests.conftest import KEY
from tests.faults.clients import Observed
from tests.support.google_frames import genai_client

_PATIENCE: Final = 25.0
_NOWHERE: Final = "http://127.0.0.1:9"
"""Each call names its proxy: to make a client costs more than a call."""


class OtherSdks:
    """One client of each, made when it is first used."""

    @cached_property
    def _anthropic(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(
            api_key=KEY, base_url=_NOWHERE, max_retries=0, timeout=_PATIENCE
        )

    @cached_property
    def _google(self) -> genai.Client:
        return genai_client(_NOWHERE, KEY)

    async def ask_anthropic(self, url: str, request: Mapping[str, Any]) -> Observed:
        """Make one call with Anthropic's SDK."""
        seen = Observed()
        client = self._anthropic.with_options(base_url=url)
        try:
            async for event in await client.messages.create(**request):
                delta: Any = getattr(event, "delta", None)
                seen.text += getattr(delta, "text", "")
                seen.finish = getattr(delta, "stop_reason", None) or seen.finish
        except anthropic.APIError as error:
            seen.error, seen.words = type(error).__name__, f"{error} {error.body} {error.__cause__}"
            seen.code = error.body["error"]["type"] if isinstance(error.body, dict) else None
            if isinstance(error, anthropic.APIStatusError):
                seen.status = error.status_code
                seen.headers = dict(error.response.headers)
        return seen

    async def ask_google(self, url: str, request: Mapping[str, Any]) -> Observed:
        """Make one call with Google's SDK."""
        seen = Observed()
        config = types.GenerateContentConfig(http_options=types.HttpOptions(base_url=url))
        models = self._google.aio.models
        try:
            async for chunk in await models.generate_content_stream(**request, config=config):
                seen.text += chunk.text or ""
                if chunk.candidates and (reason := chunk.candidates[0].finish_reason):
                    seen.finish = reason.value
        except errors.APIError as error:
            seen.error, seen.words = type(error).__name__, f"{error} {error.details}"
            seen.status, seen.code = error.code, error.status
        return seen

    async def close(self) -> None:
        """Close the clients that were made."""
        if "_anthropic" in self.__dict__:
            await self._anthropic.close()
        if "_google" in self.__dict__:
            await self._google.aio.aclose()


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[OtherSdks]:
    """Return the SDKs; close their clients afterwards."""
    sdks = OtherSdks()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Google's own code
        try:
            yield sdks
        finally:
            await sdks.close()
