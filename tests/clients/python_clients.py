"""Clients for Python, run with packages of their own: python python_clients.py URL KEY.

Writes one JSON line for each thing tried: the client, what, whether it went well, and a detail.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import openai
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

URL, KEY = sys.argv[1:3]
RELAYED, TRANSLATED, ECHO = "gpt-4o", "gemini-3-flash", "jarvis-echo"
QUESTION, BROKEN = "How is the weather?", "breaks-in-the-middle"


def attempt(client: str, what: str, work: Callable[[], Any]) -> None:
    """Write whether *work* returned something true."""
    try:
        detail, good = work(), True
        good = bool(detail)
    except Exception as exc:  # whatever a client raises is a result here
        detail, good = repr(exc), False
    print(json.dumps([client, what, good, str(detail)[:200]]), flush=True)


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def get_forecast(days: int) -> str:
    """Tell the weather of the next days."""
    return f"rain for {days} days"


TOOLS: dict[str, Any] = {"get_weather": tool(get_weather), "get_forecast": tool(get_forecast)}
SCHEMAS: Any = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {field: {"type": kind}}},
        },
    }
    for name, field, kind in (
        ("get_weather", "city", "string"),
        ("get_forecast", "days", "integer"),
    )
]


class Sdk:
    """OpenAI's own SDK."""

    def __init__(self) -> None:
        self.client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)

    def whole(self, model: str) -> Any:
        return self._create(model, QUESTION).choices[0].message.content

    def streamed(self, model: str) -> str:
        chunks = self._create(model, QUESTION, stream=True)
        return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)

    def tools(self, model: str) -> Any:
        messages: Any = [{"role": "user", "content": QUESTION}]
        calls = 0
        while True:
            with self.client.chat.completions.stream(
                model=model, messages=messages, tools=SCHEMAS
            ) as stream:
                message = stream.until_done().get_final_completion().choices[0].message
            if not message.tool_calls:
                return calls and message.content
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                calls += 1
                messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})

    def broken(self, model: str) -> bool:
        try:
            list(self._create(model, BROKEN, stream=True))
        except openai.APIError as error:
            return error.code == "upstream_truncated"
        return False

    def wrong_key(self) -> bool:
        try:
            self.client.with_options(api_key="wrong").models.list()
        except openai.AuthenticationError as error:
            return error.code == "invalid_api_key"
        return False

    def responses(self, model: str) -> Any:
        with self.client.responses.stream(model=model, input=QUESTION) as stream:
            return stream.until_done().get_final_response().output_text

    def _create(self, model: str, text: str, **more: Any) -> Any:
        messages: Any = [{"role": "user", "content": text}]
        return self.client.chat.completions.create(model=model, messages=messages, **more)


class LangChain:
    """LangChain's ChatOpenAI."""

    def whole(self, model: str) -> Any:
        return _chat(model).invoke(QUESTION).content

    def streamed(self, model: str) -> str:
        return "".join(str(chunk.content) for chunk in _chat(model).stream(QUESTION))

    def tools(self, model: str, **more: Any) -> Any:
        chat = _chat(model, **more).bind_tools(list(TOOLS.values()))
        messages: Any = [HumanMessage(QUESTION)]
        calls = 0
        while True:
            answer: Any = None
            for chunk in chat.stream(messages):
                answer = chunk if answer is None else answer + chunk
            messages.append(answer)
            if not answer.tool_calls:
                return calls and answer.content
            for call in answer.tool_calls:
                calls += 1
                messages.append(TOOLS[call["name"]].invoke(call))

    def broken(self, model: str) -> bool:
        try:
            list(_chat(model).stream(BROKEN))
        except openai.APIError as error:
            return error.code == "upstream_truncated"
        return False

    def wrong_key(self) -> bool:
        try:
            _chat(RELAYED, api_key="wrong").invoke(QUESTION)
        except openai.AuthenticationError:
            return True
        return False

    def responses(self, model: str) -> Any:
        return self.tools(model, use_responses_api=True)


def _chat(model: str, **more: Any) -> Any:
    given = {"base_url": f"{URL}/v1", "api_key": KEY, "max_retries": 0, **more}
    return ChatOpenAI(model=model, **given)


def main() -> None:
    """Try everything."""
    clients: tuple[tuple[str, Any], ...] = (
        ("openai for Python", Sdk()),
        ("LangChain for Python", LangChain()),
    )
    for name, client in clients:
        for model in (RELAYED, TRANSLATED, ECHO):
            attempt(name, f"whole, {model}", partial(client.whole, model))
            attempt(name, f"streamed, {model}", partial(client.streamed, model))
        for model in (RELAYED, TRANSLATED):
            attempt(name, f"tools, {model}", partial(client.tools, model))
            attempt(name, f"broken, {model}", partial(client.broken, model))
        attempt(name, "responses", partial(client.responses, TRANSLATED))
        attempt(name, "wrong key", client.wrong_key)


if __name__ == "__main__":
    main()
