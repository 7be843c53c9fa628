"""Judges a key and a base URL by an upstream's answer to "list your models". Pure.

Listing models is free of charge everywhere, so a key is tried with nothing else. Therefore a valid
key without credit counts as valid. Sources: https://platform.openai.com/docs/guides/error-codes and
https://ai.google.dev/gemini-api/docs/troubleshooting (read 2026-11), and recorded answers.
"""

from typing import Final

from jarvis_proxy.config.settings import UpstreamSettings
from jarvis_proxy.doctor.findings import Check, Finding, counted
from jarvis_proxy.doctor.net.http_answer import HttpAnswer, printable_url
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.model_list import parse_gemini_models, parse_openai_models
from jarvis_proxy.routing.models import ANTHROPIC, GEMINI, OPENAI

_CONSOLES: Final = {
    OPENAI: "https://platform.openai.com/api-keys",
    GEMINI: "https://aistudio.google.com/apikey",
    ANTHROPIC: "https://console.anthropic.com/settings/keys",
}


def evaluate_key(
    upstream: UpstreamSettings, number: int, answer: HttpAnswer
) -> tuple[Finding, frozenset[str] | None]:
    """Return the finding on key *number*, and the ids of the models in *answer*.

    *answer* is the response to the listing; the ids are None if it holds no list.
    """
    models = listed_models(answer, upstream.name)
    finding = _check("key", upstream, number).evaluate(
        answer,
        has_list=models is not None,
        is_built_in=upstream.name in _CONSOLES,
        has_other_keys=len(upstream.keys) > 1,
        count=counted(len(models or ()), "model"),
        location=printable_url(answer.header("location")),
        version="/v1beta" if upstream.name == GEMINI else "/v1",
        **_values(upstream),
    )
    return finding, models


def unanswered(upstream: UpstreamSettings, number: int, result: str, reason: str) -> Finding:
    """Return the finding for a key whose request was not answered."""
    return _check("request", upstream, number).finding(result, reason=reason, **_values(upstream))


def _check(table: str, upstream: UpstreamSettings, number: int) -> Check:
    title = "key" if len(upstream.keys) == 1 else f"key {number} of {len(upstream.keys)}"
    return Check("checks/upstream_keys", table, label=upstream.name, title=title)


def _values(upstream: UpstreamSettings) -> dict[str, str]:
    return {
        "upstream": upstream.name,
        "url_setting": upstream.url_setting,
        "key_setting": upstream.key_setting,
        "proxy_setting": "UPSTREAM_PROXY" if upstream.proxy is None else upstream.proxy.setting,
        "console": _CONSOLES.get(upstream.name, "the upstream's console"),
    }


def listed_models(answer: HttpAnswer, upstream: str = OPENAI) -> frozenset[str] | None:
    """Return the ids in *upstream*'s form of a list of models, None if *answer* has none."""
    try:
        if upstream == GEMINI:
            entries, _ = parse_gemini_models(answer.body)
        else:
            entries = parse_openai_models(answer.body)
    except ProxyError:
        return None
    return frozenset(entry.id for entry in entries) if answer.status == 200 else None
