"""Addresses: every forgiven spelling leads to one endpoint, and nothing else leads anywhere."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.routing.endpoints import (
    CLIENT_SECRETS,
    PREFIXES,
    PUBLIC,
    EndpointMatch,
    closest_endpoint,
    match_endpoint,
)
from jarvis_proxy.wire.chat_types import INFERENCE

READ = ("GET", "HEAD")
ENDPOINTS = {
    "health": ("health", "/health", READ),
    "ready": ("ready", "/ready", READ),
    "models": ("models", "/v1/models", READ),
    **{endpoint: ("infer", f"/v1/{endpoint}", ("POST",)) for endpoint in INFERENCE},
    "realtime": ("realtime", "/v1/realtime", ("GET",)),
    "realtime/translations": ("realtime", "/v1/realtime/translations", ("GET",)),
    **{endpoint: ("client_secret", f"/v1/{endpoint}", ("POST",)) for endpoint in CLIENT_SECRETS},
}

# The wire-level payloads of path traversal, and their relatives.
TRAVERSALS = [
    "/v1/../admin",
    "/v1/..",
    "/..",
    "/../v1/models",
    "/v1/./models",
    "/./health",
    "/v1/models/..",
    "/v1/models/../admin",
    "/v1/models/.",
    "/v1/models/./x",
    "/v1/%2e%2e/admin",
    "/v1/%2E%2E/admin",
    "/v1/..%2fadmin",
    "/v1/..%5cadmin",
    "/v1/%252e%252e/admin",
    "/v1/%252e",
    "/v1/models/%2e%2e",
    "/v1/models/%2e%2e%2f%2e%2e%2fadmin",
    "/v1/models/..%2f..%2fadmin",
    "/v1/models/x%2f..%2fy",
    "/v1/models/%252e%252e",
    "/v1/models/%252e%252e%252fadmin",
    "/v1/models/x%252fy",
    "/v1/models/x%5cy",
    "/v1/models/x\\y",
    "/v1/models/..\\admin",
    "/v1/models/..;/admin",
    "/v1/models/x;y",
    "/v1/models/x%3by",
    "/v1/models/x%23y",
    "/v1/models/x#y",
    "/v1/models/x%3fy",
    "/v1/models/x%00",
    "/v1/models/x%0d%0aHost:%20evil",
    "/v1/models/x%7f",
    "/v1/models/%2fx",
    "/v1/models/x%2f",
    "/v1/models/x%2f%2fy",
    "/v1/..;/admin",
    "/v1;/models",
    "/v1/models;x=1",
    "/v1\\models",
    "\\v1\\models",
    "/v1/files/..\\..\\etc",
    "/v1/files/%00",
    "/v1/files/\0",
    "/v1/files/a b",
    "/v1/files/a\nb",
    "/v1/files/é",
    "/v1/files/.env",
    "/v1/files/a;b",
    "/v1/files/a#b",
    "/v1/files/a?b",
    "/v1/files/%2e",
    "/v1/chat%2fcompletions",
    "/v1/chat/completions#",
    "/v1/chat/completions%20",
    "/%761/models",
    "http://169.254.169.254/v1/models",
    "//169.254.169.254/../x",
    "*",
    "",
    "v1/models",
    "/v1/" + "a" * 2000,
]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1", "/openai/v1", "/api/v1"])
def test_endpoint_is_served_under_every_prefix_however_it_is_slashed(
    prefix: str, endpoint: str
) -> None:
    kind, route, methods = ENDPOINTS[endpoint]
    plain = f"{prefix}/{endpoint}"
    spellings = [
        plain,
        plain + "/",
        plain + "//",
        "/" + plain,
        "//" + plain,
        plain.replace("/", "//"),
        plain.replace("/", "///") + "/",
        f"{prefix}//{endpoint}",
    ]

    for path in spellings:
        for everything in (False, True):
            found = match_endpoint(path, allow_any=everything)
            assert found is not None, path
            assert (found.kind, found.endpoint) == (kind, endpoint)
            assert (found.route, found.methods) == (route, methods)


def test_table_of_prefixes_is_the_one_that_is_tested() -> None:
    assert set(PREFIXES) == {"", "/v1", "/v1/v1", "/openai/v1", "/api/v1", "/v1beta/openai"}


@pytest.mark.parametrize("path", ["/", "//", "///"])
def test_root_is_an_address(path: str) -> None:
    assert match_endpoint(path) == EndpointMatch("root", "", "/", READ)


def test_public_endpoints_are_known_by_kind() -> None:
    """Metrics and two of the dashboard's have keys of their own; the page holds no data."""
    assert {"root", "health", "ready", "metrics", "page", "events", "guides"} == PUBLIC


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/usage", "usage"),
        ("/usage", "usage"),
        ("/v1/dashboard/billing/subscription", "subscription"),
        ("/dashboard/billing/subscription", "subscription"),
        ("/v1/dashboard/billing/usage", "billing"),
        ("/dashboard/billing/usage/", "billing"),
        ("/metrics", "metrics"),
        ("//metrics/", "metrics"),
    ],
)
def test_numbers_have_addresses_that_are_only_read(path: str, kind: str) -> None:
    found = match_endpoint(path)

    assert found is not None
    assert (found.kind, found.methods) == (kind, READ)
    assert found == match_endpoint(path, allow_any=True)


def test_metrics_are_at_one_address_only() -> None:
    assert match_endpoint("/v1/metrics") is None


@pytest.mark.parametrize(
    ("raw", "model_id"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o/", "gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("openai%2Fgpt-4o", "openai/gpt-4o"),
        ("openai%2fgpt-4o", "openai/gpt-4o"),
        ("openai//gpt-4o", "openai/gpt-4o"),
        ("ft:gpt-4o-mini:org::id", "ft:gpt-4o-mini:org::id"),
        ("@cf/meta/llama-3.1", "@cf/meta/llama-3.1"),
        ("model%20with%20spaces", "model with spaces"),
        ("%D0%BC%D0%BE%D0%B4%D0%B5%D0%BB%D1%8C", "модель"),
        ("a.b_c~d", "a.b_c~d"),
    ],
)
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("everything", [False, True])
def test_model_id_may_hold_a_slash(prefix: str, raw: str, model_id: str, everything: bool) -> None:
    expected = EndpointMatch("model", "models/{id}", "/v1/models/{id}", READ, model_id)

    assert match_endpoint(f"{prefix}/models/{raw}", allow_any=everything) == expected


@pytest.mark.every_case
@pytest.mark.parametrize("path", TRAVERSALS)
@pytest.mark.parametrize("everything", [False, True])
def test_traversal_matches_nothing(path: str, everything: bool) -> None:
    assert match_endpoint(path, allow_any=everything) is None


@pytest.mark.parametrize(
    "rest",
    [
        "files",
        "files/file-abc123/content",
        "batches/batch_1/cancel",
        "vector_stores/vs_1/files",
        "fine_tuning/jobs",
        "responses/resp_1",
        "chat/completions/chatcmpl-1/messages",
        "realtime/calls",
        "a..b",
    ],
)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_other_paths_match_only_when_everything_is_passed_on(prefix: str, rest: str) -> None:
    assert match_endpoint(f"{prefix}/{rest}") is None
    assert match_endpoint(f"{prefix}//{rest}/", allow_any=True) == EndpointMatch(
        "other", rest, "/v1/*", ()
    )


@settings(deadline=None)
@given(st.text(st.sampled_from("/.%2eE5cf;\\#?v1modelsaA:@~_-\0\n é"), max_size=40))
def test_what_is_asked_upstream_is_always_plain(path: str) -> None:
    """No match can name an upstream path that a server might read as another one."""
    found = match_endpoint("/" + path, allow_any=True)

    if found is not None and found.kind == "other":
        segments = found.endpoint.split("/")
        assert all(s and not s.startswith(".") for s in segments)
        assert not set(found.endpoint) & set("%\\;#?\0\n é")
    if found is not None and found.kind == "model":
        assert not set(found.model_id) & set("%\\;#?\0\n")
        assert ".." not in found.model_id


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/chat/completionss", "/v1/chat/completions"),
        ("/v1/chat/completions/x", "/v1/chat/completions"),
        ("/openai/v1/embedding", "/v1/embeddings"),
        ("//api//v1//image/generations", "/v1/images/generations"),
        ("/v1/audio/transcription", "/v1/audio/transcriptions"),
        ("/v1/response", "/v1/responses"),
        ("/v1/model", "/v1/models"),
        ("/healthz", "/health"),
        ("/readyz", "/ready"),
        ("/v1/moderation", "/v1/moderations"),
        ("/zzzz", "/v1/chat/completions"),
        ("/wp-login.php", "/v1/chat/completions"),
        ("*", "/v1/models"),
        ("", "/v1/models"),
        ("/", "/v1/models"),
        ("/v1/", "/v1/models"),
        ("/" + "x" * 100_000, "/v1/chat/completions"),
    ],
)
def test_nearest_address_is_named(path: str, expected: str) -> None:
    assert closest_endpoint(path) == expected


@settings(deadline=None)
@given(st.text())
def test_nearest_address_is_always_one_that_exists(path: str) -> None:
    assert match_endpoint(closest_endpoint(path)) is not None


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("DELETE", "/v1/models/ft:gpt-4o-mini:me", "models/ft:gpt-4o-mini:me"),
        ("GET", "/v1/chat/completions", "chat/completions"),
        ("GET", "//v1/chat/completions/", "chat/completions"),
        ("POST", "/models", "models"),
    ],
)
def test_with_everything_other_methods_are_openais(method: str, path: str, endpoint: str) -> None:
    found = match_endpoint(path, allow_any=True, method=method)

    assert found is not None
    assert (found.kind, found.endpoint) == ("other", endpoint)


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/chat/completions", "infer"),
        ("HEAD", "/v1/chat/completions", "infer"),
        ("DELETE", "/health", "health"),
        ("DELETE", "/v1/models/a%2Fb", "model"),
        ("GET", "/v1/models/gpt-4o", "model"),
    ],
)
def test_with_everything_the_proxys_own_methods_stay_its_own(
    method: str, path: str, kind: str
) -> None:
    found = match_endpoint(path, allow_any=True, method=method)

    assert found is not None
    assert found.kind == kind
