"""Groups of settings: upstreams, timeouts, limits. Pure."""

from dataclasses import dataclass
from typing import Final

from jarvis_proxy.config import parsers as parse
from jarvis_proxy.config import upstreams as routes
from jarvis_proxy.config.fields import Setting, SettingsSection, setting

UPSTREAM_SETTINGS: Final = (
    Setting(
        name="OPENAI_API_KEY",
        section=SettingsSection.FIRST,
        text="OpenAI's key, or several, comma-separated: the proxy uses them in turn.",
    ),
    Setting(
        name="OPENAI_BASE_URL",
        section=SettingsSection.UPSTREAMS,
        default=routes.OPENAI_BASE_URL,
        text="Address of OpenAI's API.",
    ),
    Setting(
        name="GEMINI_API_KEY",
        section=SettingsSection.FIRST,
        text=(
            "Google's key for the Gemini API, or several, comma-separated: the proxy uses "
            "them in turn. It goes into a header, never into a URL."
        ),
    ),
    Setting(
        name="GEMINI_BASE_URL",
        section=SettingsSection.UPSTREAMS,
        default=routes.GEMINI_BASE_URL,
        text="Address of the Gemini API.",
    ),
    Setting(
        name="ANTHROPIC_API_KEY",
        section=SettingsSection.FIRST,
        text="Anthropic's key, or several, comma-separated: the proxy uses them in turn.",
    ),
    Setting(
        name="ANTHROPIC_BASE_URL",
        section=SettingsSection.UPSTREAMS,
        default=routes.ANTHROPIC_BASE_URL,
        text="Address of Anthropic's API, with or without `/v1`.",
    ),
    Setting(
        name="UPSTREAMS",
        section=SettingsSection.UPSTREAMS,
        text=(
            "Names of more OpenAI-compatible upstreams, comma-separated, such as "
            "`deepseek,zhipu`. The next five settings and `<NAME>_PROXY` configure each of "
            "them; for `my-llm` they are called `MY_LLM_BASE_URL` and so on."
        ),
    ),
    Setting(
        name="<NAME>_BASE_URL",
        section=SettingsSection.UPSTREAMS,
        text="Address of the upstream `NAME`, with its `/v1` or similar.",
    ),
    Setting(
        name="<NAME>_API_KEY",
        section=SettingsSection.UPSTREAMS,
        text=(
            "The key of the upstream `NAME`, or several, comma-separated. If the upstream "
            "needs no key, set any word: its models are then listed."
        ),
    ),
    Setting(
        name="<NAME>_MODELS",
        section=SettingsSection.UPSTREAMS,
        text=(
            "Models that the upstream `NAME` serves, comma-separated; a `*` at the end "
            "matches a prefix. `NAME/model` works without it."
        ),
    ),
    Setting(
        name="<NAME>_ANTHROPIC_URL",
        section=SettingsSection.UPSTREAMS,
        text=(
            "Where the upstream `NAME` speaks Anthropic's Messages API, such as "
            "`https://api.deepseek.com/anthropic`: clients of that API are relayed there. "
            "`<NAME>_BASE_URL` may then be left out."
        ),
    ),
    Setting(
        name="<NAME>_APIS",
        section=SettingsSection.UPSTREAMS,
        text=(
            "Those of OpenAI's APIs that the upstream `NAME` has, comma-separated: "
            f"{', '.join(f'`{name}`' for name in routes.APIS)}. With `chat`, Responses "
            "requests are always translated. Empty: the proxy finds out."
        ),
    ),
    Setting(
        name="UPSTREAM_PROXY",
        section=SettingsSection.UPSTREAMS,
        text=(
            "HTTP or SOCKS5 proxy for calls to upstreams, such as "
            "`http://user:password@proxy.example:3128` or `socks5://host:1080` (also `socks5h`; "
            "the proxy resolves names). Calls to this machine and its network (loopback and "
            "private addresses, `localhost`, names without a dot, `.local`, `.lan`, `.internal` "
            "and similar) do not use it."
        ),
    ),
    Setting(
        name="UPSTREAM_NO_PROXY",
        section=SettingsSection.UPSTREAMS,
        text=(
            "More hosts that are called without `UPSTREAM_PROXY`, written as in `NO_PROXY`: "
            "names and domains with all subdomains, addresses, networks such as `10.0.0.0/8`, "
            "each with or without `:port`; `*` is every host. Names are not resolved for this "
            "check."
        ),
    ),
    Setting(
        name="<NAME>_PROXY",
        section=SettingsSection.UPSTREAMS,
        text=(
            "Proxy of the upstream `NAME` only (also `OPENAI_PROXY`, `GEMINI_PROXY` and "
            "`ANTHROPIC_PROXY`): an address as in `UPSTREAM_PROXY`, or `direct`. It overrides "
            "the two settings above."
        ),
    ),
)
"""The settings that ``config.upstreams.upstreams`` reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the server waits for upstreams and clients, in seconds."""

    connect_timeout: float = setting(
        "CONNECT_TIMEOUT",
        default="5",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text="Time to connect to an upstream, DNS included.",
    )
    first_byte_timeout: float = setting(
        "FIRST_BYTE_TIMEOUT",
        default="600",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text=(
            "From the request to an upstream's first byte; thinking models take minutes. An "
            "answer that is not streamed must be complete after 590 s, or 5 s before an "
            "OpenAI SDK says that it gives up."
        ),
    )
    idle_timeout: float = setting(
        "IDLE_TIMEOUT",
        default="600",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text=("Longest silence of an upstream within an answer; then the client gets an error."),
    )
    stream_total_timeout: float = setting(
        "STREAM_TOTAL_TIMEOUT",
        default="3600",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text="Longest duration of a call.",
    )
    commit_after: float = setting(
        "COMMIT_AFTER",
        default="15",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text=(
            "If a stream's upstream is still silent after this time, the client gets its 200 "
            "and then keepalive comments. Errors before that keep their own status."
        ),
    )
    heartbeat_interval: float = setting(
        "HEARTBEAT_INTERVAL",
        default="15",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text="Silence in a stream before each keepalive comment.",
    )
    body_idle_timeout: float = setting(
        "BODY_IDLE_TIMEOUT",
        default="20",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text="Longest silence within a request body.",
    )
    body_total_timeout: float = setting(
        "BODY_TOTAL_TIMEOUT",
        default="120",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text=(
            "Time to receive a whole request body. A form upload may take as long as a stream. "
            "After ten seconds every body must have brought 1 KiB per second."
        ),
    )
    write_stall_timeout: float = setting(
        "WRITE_STALL_TIMEOUT",
        default="60",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text="A client that reads nothing for this long is disconnected.",
    )
    drain_timeout: float = setting(
        "DRAIN_TIMEOUT",
        default="120",
        unit="s",
        parser=parse.seconds,
        section=SettingsSection.TIMEOUTS,
        text=(
            "Time after SIGTERM for open answers to finish. `TimeoutStopSec` in "
            "`deploy/jarvis-proxy.service` must stay above it."
        ),
    )


_COUNT: Final = parse.whole(1, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """How much the server handles at once; beyond a limit it refuses requests, it never queues.

    The defaults suit one process, at about 30 KiB per stream: they keep the server alive under
    attack. Only the operator knows what is fair between keys or addresses.
    """

    max_streams: int = setting(
        "MAX_STREAMS",
        default="8192",
        parser=_COUNT,
        section=SettingsSection.LIMITS,
        text="Concurrent requests; more get 503.",
    )
    max_streams_per_key: int = setting(
        "MAX_STREAMS_PER_KEY",
        default="8192",
        parser=_COUNT,
        section=SettingsSection.LIMITS,
        text="Concurrent requests per client key; more get 429.",
    )
    max_connections: int = setting(
        "MAX_CONNECTIONS",
        default="8192",
        parser=_COUNT,
        section=SettingsSection.LIMITS,
        text=(
            "Open client connections, as far as the limit on open files allows; more get 503 "
            "and are closed. With `TLS_CERT_FILE` a connection counts before its handshake, "
            "which may take 5 s; an excess connection is closed at once."
        ),
    )
    max_connections_per_ip: int = setting(
        "MAX_CONNECTIONS_PER_IP",
        default="1024",
        parser=_COUNT,
        section=SettingsSection.LIMITS,
        text=(
            "Open connections per client address (in IPv6 per /64). This machine and "
            "`TRUSTED_PROXIES` are exempt."
        ),
    )
    max_bytes_in_flight: int = setting(
        "MAX_INFLIGHT_MB",
        default="256",
        unit="MB",
        parser=parse.mebibytes(1, 1_048_576),
        section=SettingsSection.LIMITS,
        text=(
            "Memory for all calls together: request bodies, translated or downloaded data, "
            "incomplete answers; more get 503."
        ),
    )
    json_depth: int = setting(
        "MAX_JSON_DEPTH",
        default="64",
        unit="levels",
        parser=parse.whole(4, 512),
        section=SettingsSection.LIMITS,
        text="Deepest nesting of JSON in a request; deeper gets 400.",
    )
