"""Settings: the environment as one frozen, typed object, all problems reported together. Pure.

Each field says which setting fills it, the default, the unit and one sentence; ``.env.example`` and
the README are compared with these by tests. Seconds and bytes throughout.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Final, Literal

from jarvis_proxy import settings_addresses as addresses
from jarvis_proxy import settings_parse as parse
from jarvis_proxy import settings_routes as routes
from jarvis_proxy.settings_fields import Limits, Setting, described, parsed, set_by
from jarvis_proxy.settings_hints import exposure_hints, upstream_hints
from jarvis_proxy.settings_parse import MEBIBYTE, Reader, SettingsError
from jarvis_proxy.settings_policies import KeyPolicy, policies
from jarvis_proxy.settings_routes import ClientKey, UpstreamSettings

__all__ = [
    "SETTINGS",
    "ClientKey",
    "KeyPolicy",
    "Limits",
    "Setting",
    "Settings",
    "SettingsError",
    "UpstreamSettings",
]


_UPSTREAM_SETTINGS: Final = (
    Setting("OPENAI_API_KEY", "", "", "OpenAI's key, or several, comma-separated."),
    Setting("OPENAI_BASE_URL", routes.OPENAI_BASE_URL, "", "Where OpenAI's API is."),
    Setting(
        "GEMINI_API_KEY", "", "", "Google's key for the Gemini API, or several, comma-separated."
    ),
    Setting("GEMINI_BASE_URL", routes.GEMINI_BASE_URL, "", "Where the Gemini API is."),
    Setting(
        "UPSTREAMS",
        "",
        "",
        "Names of more OpenAI-compatible upstreams, comma-separated, such as deepseek,zhipu.",
    ),
    Setting("<NAME>_BASE_URL", "", "", "Where the upstream NAME is, with its /v1 or the like."),
    Setting("<NAME>_API_KEY", "", "", "The key of the upstream NAME, or several, comma-separated."),
    Setting(
        "<NAME>_MODELS",
        "",
        "",
        "Models that the upstream NAME answers, comma-separated; a * at the end matches a prefix.",
    ),
    Setting(
        "UPSTREAM_PROXY",
        "",
        "",
        "HTTP proxy for calls to upstreams outside this machine and its network, such as"
        " http://user:password@proxy.example:3128.",
    ),
    Setting(
        "UPSTREAM_NO_PROXY",
        "",
        "",
        "Hosts that are called without UPSTREAM_PROXY, written as in NO_PROXY: names, domains,"
        " addresses, networks, *.",
    ),
    Setting(
        "<NAME>_PROXY",
        "",
        "",
        "The proxy of the upstream NAME alone, openai and gemini too: an address, or direct.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a user can set. ``Settings()`` holds the defaults and no keys."""

    client_keys: tuple[ClientKey, ...] = field(
        default=(),
        metadata=set_by(
            "PROXY_API_KEYS",
            "",
            "",
            "Keys that clients must send, comma-separated, each key, name:key, sha256:digest or"
            " name:sha256:digest.",
        ),
    )
    admin_key: ClientKey | None = field(
        default=None,
        metadata=set_by(
            "ADMIN_KEY",
            "",
            "",
            "Key of the live page at /dashboard, 16 characters or more, or sha256:digest; without"
            " it there is no page.",
            routes.admin_key,
        ),
    )
    upstreams: tuple[UpstreamSettings, ...] = field(
        default=routes.DEFAULT_UPSTREAMS, metadata={"settings": _UPSTREAM_SETTINGS}
    )
    hosts: tuple[str, ...] = field(
        default=("0.0.0.0",),  # noqa: S104  the documented default; a start says so loudly
        metadata=set_by(
            "HOST",
            "0.0.0.0",  # noqa: S104
            "",
            "Address to listen on, or several, comma-separated; 127.0.0.1 is reached from this"
            " machine only.",
            addresses.hosts,
        ),
    )
    port: int = field(
        default=9000,
        metadata=set_by("PORT", "9000", "", "Port to listen on.", parse.whole(1, 65535)),
    )
    tls_cert_file: str = field(
        default="",
        metadata=set_by(
            "TLS_CERT_FILE",
            "",
            "",
            "Certificate with its chain (PEM); together with TLS_KEY_FILE it turns HTTPS on.",
            parse.file_path,
        ),
    )
    tls_key_file: str = field(
        default="",
        metadata=set_by(
            "TLS_KEY_FILE", "", "", "Private key of that certificate (PEM).", parse.file_path
        ),
    )
    cors_origins: tuple[str, ...] = field(
        default=("*",),
        metadata=set_by(
            "CORS_ORIGINS",
            "*",
            "",
            "Web pages that may call from a browser, comma-separated origins; empty turns CORS"
            " off.",
        ),
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = field(
        default=(),
        metadata=set_by(
            "TRUSTED_PROXIES",
            "",
            "",
            "Networks of your own reverse proxies, comma-separated; their X-Forwarded-For is"
            " believed.",
            addresses.networks,
        ),
    )
    default_model: str = field(
        default=routes.OPENAI_DEFAULT_MODEL,
        metadata=set_by(
            "DEFAULT_MODEL",
            routes.OPENAI_DEFAULT_MODEL,
            "",
            "What jarvis-default, and a request without model, becomes; where only Gemini has a"
            f" key, the default is {routes.GEMINI_DEFAULT_MODEL}.",
        ),
    )
    model_aliases: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=set_by(
            "MODEL_ALIASES",
            "",
            "",
            "More names for models, comma-separated name=upstream/model; they win over the"
            " built-in ones.",
        ),
    )
    fallbacks: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=set_by(
            "FALLBACKS",
            "",
            "",
            "Models to try when one fails before its first byte, comma-separated"
            " model=other|another.",
        ),
    )
    passthrough: Literal["inference", "all"] = field(
        default="inference",
        metadata=set_by(
            "PASSTHROUGH",
            "inference",
            "",
            "OpenAI paths that clients reach: inference, or all (files, batches, fine-tuning too).",
            parse.choice("inference", "all"),
        ),
    )
    image_urls: Literal["fetch", "pass", "refuse"] = field(
        default="fetch",
        metadata=set_by(
            "IMAGE_URLS",
            "fetch",
            "",
            "Images given to Gemini as URLs: fetch (guarded download here), pass (Google"
            " downloads) or refuse.",
            parse.choice("fetch", "pass", "refuse"),
        ),
    )
    strict_params: bool = field(
        default=False,
        metadata=set_by(
            "STRICT_PARAMS",
            "false",
            "",
            "true answers 400 to parameters that Gemini lacks; false names them in"
            " x-jarvis-ignored.",
            parse.flag,
        ),
    )
    show_thoughts: Literal["auto", "always", "never"] = field(
        default="auto",
        metadata=set_by(
            "SHOW_THOUGHTS",
            "auto",
            "",
            "Gemini's thoughts as reasoning_content where the request does not say: auto (streams"
            " of clients that need a sign of life), always or never.",
            parse.choice("auto", "always", "never"),
        ),
    )
    max_body: int = field(
        default=64 * MEBIBYTE,
        metadata=set_by(
            "MAX_BODY_MB",
            "64",
            "MB",
            "Largest request body; a larger one gets 413.",
            parse.mebibytes(1, 4096),
        ),
    )
    connect_timeout: float = field(
        default=5.0,
        metadata=set_by(
            "CONNECT_TIMEOUT", "5", "s", "To connect to an upstream, DNS included.", parse.seconds
        ),
    )
    first_byte_timeout: float = field(
        default=600.0,
        metadata=set_by(
            "FIRST_BYTE_TIMEOUT",
            "600",
            "s",
            "From the request to an upstream's first byte; thinking models take minutes.",
            parse.seconds,
        ),
    )
    idle_timeout: float = field(
        default=600.0,
        metadata=set_by(
            "IDLE_TIMEOUT",
            "600",
            "s",
            "Silence of an upstream in the middle of an answer; then the client gets an error.",
            parse.seconds,
        ),
    )
    stream_total_timeout: float = field(
        default=3600.0,
        metadata=set_by(
            "STREAM_TOTAL_TIMEOUT", "3600", "s", "Longest stream in all.", parse.seconds
        ),
    )
    commit_after: float = field(
        default=15.0,
        metadata=set_by(
            "COMMIT_AFTER",
            "15",
            "s",
            "A stream whose upstream is still silent then gets its 200 and keepalive comments;"
            " before, errors keep their status.",
            parse.seconds,
        ),
    )
    heartbeat_interval: float = field(
        default=15.0,
        metadata=set_by(
            "HEARTBEAT_INTERVAL",
            "15",
            "s",
            "Silence in a stream before a keepalive comment.",
            parse.seconds,
        ),
    )
    body_idle_timeout: float = field(
        default=20.0,
        metadata=set_by(
            "BODY_IDLE_TIMEOUT", "20", "s", "Silence inside a request body.", parse.seconds
        ),
    )
    body_total_timeout: float = field(
        default=120.0,
        metadata=set_by(
            "BODY_TOTAL_TIMEOUT", "120", "s", "To receive a whole request body.", parse.seconds
        ),
    )
    write_stall_timeout: float = field(
        default=60.0,
        metadata=set_by(
            "WRITE_STALL_TIMEOUT",
            "60",
            "s",
            "A client that takes nothing for so long is cut off.",
            parse.seconds,
        ),
    )
    drain_timeout: float = field(
        default=120.0,
        metadata=set_by(
            "DRAIN_TIMEOUT",
            "120",
            "s",
            "After SIGTERM, time for answers in progress to end.",
            parse.seconds,
        ),
    )
    workers: int = field(
        default=1,
        metadata=set_by(
            "WORKERS",
            "1",
            "",
            "Processes that share the port; more than 1 needs REDIS_URL.",
            parse.whole(1, 256),
        ),
    )
    redis_url: str = field(
        default="",
        repr=False,
        metadata=set_by(
            "REDIS_URL",
            "",
            "",
            "Redis or Valkey for what workers share, such as redis://127.0.0.1:6379/0.",
            addresses.redis_url,
        ),
    )
    log_level: Literal["debug", "info", "warning", "error"] = field(
        default="info",
        metadata=set_by(
            "LOG_LEVEL",
            "info",
            "",
            "debug, info, warning or error.",
            parse.choice("debug", "info", "warning", "error"),
        ),
    )
    log_format: Literal["text", "json"] = field(
        default="text",
        metadata=set_by(
            "LOG_FORMAT",
            "text",
            "",
            "text, or json for one JSON object a line.",
            parse.choice("text", "json"),
        ),
    )
    state_dir: str = field(
        default="state",
        metadata=set_by(
            "STATE_DIR",
            "state",
            "",
            "Folder, beside server.py or absolute, for what keys have used: counters, never"
            " content; empty keeps them in memory.",
        ),
    )
    prices_file: str = field(
        default="",
        metadata=set_by(
            "PRICES_FILE",
            "",
            "",
            "JSON file with prices of your own; they win over the built-in table.",
            parse.file_path,
        ),
    )
    metrics_key: ClientKey | None = field(
        default=None,
        metadata=set_by(
            "METRICS_KEY",
            "",
            "",
            "Key of /metrics, 16 characters or more, or sha256:digest; without it only this machine"
            " may ask, with HOST on loopback and TRUSTED_PROXIES empty.",
            routes.metrics_key,
        ),
    )
    limits: Limits = field(default_factory=Limits)
    policies: Mapping[str, KeyPolicy] = field(default_factory=lambda: MappingProxyType({}))
    """By the names of client keys; a key without one may do everything."""
    hints: tuple[str, ...] = ()
    """Sentences for the log at the start: what works but deserves a second look."""

    @property
    def metrics_need_key(self) -> bool:
        """Whether /metrics is refused without METRICS_KEY, even to programs on this machine.

        Where others can reach the server, or a reverse proxy stands before it, a request from
        loopback may be a stranger's.
        """
        on_loopback = all(map(addresses.is_loopback, self.hosts))
        return self.metrics_key is not None or bool(self.trusted_proxies) or not on_loopback

    @classmethod
    def from_env(
        cls, env: Mapping[str, str], *, is_readable: Callable[[str], bool] = lambda path: True
    ) -> "Settings":
        """Return the settings that *env* holds; *is_readable* tells whether a file can be read.

        Raises:
            SettingsError: with every problem, each naming its setting and what would be right.
        """
        reader = Reader(env)
        upstreams = routes.upstreams(reader)
        names = [upstream.name for upstream in upstreams]
        client_keys = routes.client_keys(reader)
        settings = cls(
            client_keys=client_keys,
            policies=policies(reader, client_keys),
            upstreams=upstreams,
            default_model=routes.default_model(reader, upstreams),
            model_aliases=routes.model_aliases(reader, names),
            fallbacks=routes.fallbacks(reader),
            cors_origins=_cors_origins(reader),
            state_dir=_state_dir(reader),
            limits=Limits(**parsed(Limits, reader)),
            **parsed(cls, reader),
        )
        _check_together(settings, reader, is_readable)
        if reader.problems:
            raise SettingsError(tuple(reader.problems))
        tls = bool(settings.tls_cert_file)
        hints = (
            *reader.hints,
            *exposure_hints(
                settings.hosts,
                settings.client_keys,
                tls=tls,
                trusted_proxies=settings.trusted_proxies,
            ),
            *upstream_hints(upstreams),
        )
        return replace(settings, hints=tuple(dict.fromkeys(hints)))


def _cors_origins(reader: Reader) -> tuple[str, ...]:
    """Return CORS_ORIGINS, where empty is not absent: it turns CORS off."""
    default = () if reader.has("CORS_ORIGINS") else ("*",)
    return reader.read("CORS_ORIGINS", addresses.origins, default)


def _state_dir(reader: Reader) -> str:
    """Return STATE_DIR, where empty is not absent: it turns storing off."""
    return reader.read("STATE_DIR", parse.file_path, "" if reader.has("STATE_DIR") else "state")


def _check_together(settings: Settings, reader: Reader, is_readable: Callable[[str], bool]) -> None:
    """Note what single settings cannot tell: which of them do not go together."""
    files = {"TLS_CERT_FILE": settings.tls_cert_file, "TLS_KEY_FILE": settings.tls_key_file}
    for name, path in files.items():
        if not path and any(files.values()):
            reader.problem(name, "must be set too: HTTPS needs a certificate and its key")
        elif path and not is_readable(path):
            reader.problem(name, "must name a file that the server may read")
    if settings.prices_file and not is_readable(settings.prices_file):
        reader.problem("PRICES_FILE", "must name a file that the server may read")
    metrics = settings.metrics_key
    if metrics is not None and any(key.digest == metrics.digest for key in settings.client_keys):
        reader.problem(
            "METRICS_KEY", "must not be one of PROXY_API_KEYS: their holders would see all names"
        )
    admin = settings.admin_key
    if admin is not None and any(key.digest == admin.digest for key in settings.client_keys):
        reader.problem(
            "ADMIN_KEY", "must not be one of PROXY_API_KEYS: their holders would see all calls"
        )
    if settings.workers > 1 and not settings.redis_url:
        reader.problem(
            "WORKERS",
            "more than 1 needs REDIS_URL: without it each process would count limits and keep"
            " tool-call signatures for itself",
        )
    if settings.max_body > settings.limits.max_bytes_in_flight:
        reader.problem(
            "MAX_INFLIGHT_MB", "must be at least MAX_BODY_MB, or the largest body never gets in"
        )


SETTINGS: Final = (*described(Settings), *described(Limits), *described(KeyPolicy))
"""Every setting, for the documentation; ``<NAME>`` stands for a name in UPSTREAMS, and in
``KEY_<NAME>_`` for a name in PROXY_API_KEYS."""
