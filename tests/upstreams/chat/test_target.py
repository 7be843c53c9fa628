"""What is known of a chat service by its address and its model's name."""

import pytest

from jarvis_proxy.upstreams.chat.target import ChatTarget, chat_target


@pytest.mark.parametrize(
    ("base_url", "is_openai"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://api.openai.com.example.org/v1", False),
        ("http://127.0.0.1:8000/v1", False),
        ("https://openrouter.ai/api/v1", False),
    ],
)
def test_openai_is_known_by_its_host(base_url: str, is_openai: bool) -> None:
    target = chat_target("up", base_url, "m")

    assert target.is_openai is is_openai
    assert target.owner == (None if is_openai else "chat.up")
    assert target.limit_name == ("max_completion_tokens" if is_openai else "max_tokens")


@pytest.mark.parametrize(
    ("upstream", "model", "is_openai"),
    [
        ("openai", "gpt-4o", True),
        ("openai", "gpt-5.2", True),
        ("openai", "ft:gpt-4.1:org::id", True),
        ("openai", "o4-mini", True),
        ("openai", "chatgpt-4o-latest", True),
        ("openai", "gpt-oss-20b", False),
        ("openai", "llama-3", False),
        ("openai", "deepseek-chat", False),
        ("openai", "openrouter/auto", False),
        ("groq", "gpt-4o", False),
    ],
)
def test_openai_behind_a_gateway_is_known_by_its_models(
    upstream: str, model: str, is_openai: bool
) -> None:
    target = chat_target(upstream, "https://gateway.example/v1", "").for_model(model)

    assert (target.model, target.is_openai) == (model, is_openai)
    assert chat_target(upstream, "https://api.openai.com/v1", "").for_model(model).is_openai


@pytest.mark.parametrize(
    ("base_url", "switches"),
    [
        ("https://api.deepseek.com", True),
        ("https://api.z.ai/api/paas/v4", True),
        ("https://open.bigmodel.cn/api/paas/v4", True),
        ("https://api.moonshot.ai/v1", True),
        ("https://notdeepseek.com/v1", False),
        ("http://localhost:8000/v1", False),
    ],
)
def test_hosts_that_switch_thinking_are_known(base_url: str, switches: bool) -> None:
    assert chat_target("up", base_url, "m").switches_thinking is switches


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        ("o1", True),
        ("o4-mini", True),
        ("gpt-5", True),
        ("openai/gpt-5.2-codex", True),
        ("gpt-10", True),
        ("gpt-4.1", False),
        ("gpt-4o", False),
        ("gpt-3.5-turbo", False),
        ("omni-moderation", False),
    ],
)
def test_openais_reasoning_models_are_known_by_name(model: str, reasons: bool) -> None:
    assert ChatTarget("openai", model, is_openai=True).is_openais_reasoning_model is reasons
    assert not ChatTarget("vllm", model).is_openais_reasoning_model


def test_service_tiers_are_openais() -> None:
    openai = ChatTarget("openai", "gpt-5", is_openai=True)

    assert openai.takes_tier("flex")
    assert not openai.takes_tier("standard_only")
    assert not ChatTarget("vllm", "m").takes_tier("flex")
