"""Settings: the environment as a frozen, typed object; all problems are reported together. Pure.

Each field declares its setting once: name, default, unit, parser, section and text. From these
``python -m tools.docs`` writes .env.example and docs/settings.md. Units are seconds and bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Final, Literal

from jarvis_proxy.config import addresses
from jarvis_proxy.config import client_keys as keys
from jarvis_proxy.config import parsers as parse
from jarvis_proxy.config import upstreams as routes
from jarvis_proxy.config.client_keys import ClientKey
from jarvis_proxy.config.fields import (
    Setting,
    SettingsSection,
    list_settings,
    parse_fields,
    setting,
)
from jarvis_proxy.config.key_policies import KeyPolicy, policies
from jarvis_proxy.config.parsers import EnvReader, SettingsError
from jarvis_proxy.config.tables import UPSTREAM_SETTINGS, ServerLimits
from jarvis_proxy.config.telemetry import Telemetry
from jarvis_proxy.config.upstreams import UpstreamSettings
from jarvis_proxy.config.warnings import exposure_warnings, upstream_warnings

__all__ = [
    "ALL_SETTINGS",
    "ClientKey",
    "KeyPolicy",
    "ServerLimits",
    "Setting",
    "Settings",
    "SettingsError",
    "UpstreamSettings",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Telemetry):
    """Everything that a user can configure. ``Settings()`` has the defaults and no keys."""

    client_keys: tuple[ClientKey, ...] = setting(
        "PROXY_API_KEYS",
        value=(),
        section=SettingsSection.FIRST,
        text=(
            "Keys that clients must send, comma-separated; at least one. Each is `key`, "
            "`name:key`, `sha256:digest` or `name:sha256:digest`. The log shows the name. A "
            "digest (64 hexadecimal digits) keeps the key itself out of the file."
        ),
    )
    admin_key: ClientKey | None = setting(
        "ADMIN_KEY",
        parser=keys.admin_key,
        value=None,
        section=SettingsSection.NUMBERS,
        text=(
            "Key of the dashboard at `/dashboard`, 16 characters or more, or `sha256:digest`. "
            "Without it there is no dashboard."
        ),
    )
    upstreams: tuple[UpstreamSettings, ...] = field(
        default=routes.DEFAULT_UPSTREAMS, metadata={"settings": UPSTREAM_SETTINGS}
    )
    hosts: tuple[str, ...] = setting(
        "HOST",
        default="0.0.0.0",  # noqa: S104 - the documented default; the start warns about it
        parser=addresses.hosts,
        section=SettingsSection.LISTENING,
        text=(
            "Address to listen on, or several, comma-separated. Only this machine reaches "
            "`127.0.0.1`; `::` is every address of IPv6 and IPv4. Some shells and conda "
            "export a `HOST` of their own, which overrides `.env`; the log then says so."
        ),
    )
    port: int = setting(
        "PORT",
        default="9000",
        parser=parse.whole(1, 65535),
        section=SettingsSection.LISTENING,
        text="Port to listen on.",
    )
    tls_cert_file: str = setting(
        "TLS_CERT_FILE",
        parser=parse.file_path,
        value="",
        section=SettingsSection.LISTENING,
        text=("Certificate with its chain (PEM). Together with `TLS_KEY_FILE` it enables HTTPS."),
    )
    tls_key_file: str = setting(
        "TLS_KEY_FILE",
        parser=parse.file_path,
        value="",
        section=SettingsSection.LISTENING,
        text="Private key of that certificate (PEM).",
    )
    cors_origins: tuple[str, ...] = setting(
        "CORS_ORIGINS",
        default="*",
        value=("*",),
        section=SettingsSection.LISTENING,
        text=(
            "Origins of web pages that may call from a browser, comma-separated; empty "
            "disables CORS."
        ),
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = setting(
        "TRUSTED_PROXIES",
        parser=addresses.networks,
        value=(),
        section=SettingsSection.LISTENING,
        text=(
            "Networks of your own reverse proxies, comma-separated. The proxy then trusts "
            "their `X-Forwarded-For`, and keeps idle connections open for 130 s instead of 20 "
            "s."
        ),
    )
    default_model: str = setting(
        "DEFAULT_MODEL",
        default=routes.OPENAI_DEFAULT_MODEL,
        value=routes.OPENAI_DEFAULT_MODEL,
        section=SettingsSection.MODELS,
        text=(
            "Model for `jarvis-default` and for requests without `model`. If only Gemini has "
            "a key, the default is `gemini/gemini-3-flash`."
        ),
    )
    model_aliases: Mapping[str, str] = setting(
        "MODEL_ALIASES",
        value=MappingProxyType({}),
        section=SettingsSection.MODELS,
        text=(
            "More names for models, comma-separated `name=upstream/model`. They override the "
            "built-in names."
        ),
    )
    fallbacks: Mapping[str, tuple[str, ...]] = setting(
        "FALLBACKS",
        value=MappingProxyType({}),
        section=SettingsSection.MODELS,
        text=(
            "Models to try when one fails before its first byte, comma-separated "
            "`model=other|another`; `model` is the name that clients send."
        ),
    )
    passthrough: Literal["inference", "all"] = setting(
        "PASSTHROUGH",
        default="inference",
        parser=parse.choice("inference", "all"),
        section=SettingsSection.REQUESTS,
        text=(
            "Paths that clients can reach: `inference`, or `all` (also files, batches, "
            "fine-tuning and the like, at the service whose API the client speaks)."
        ),
    )
    image_urls: Literal["fetch", "pass", "refuse"] = setting(
        "IMAGE_URLS",
        default="fetch",
        parser=parse.choice("fetch", "pass", "refuse"),
        section=SettingsSection.REQUESTS,
        text=(
            "What happens to images that are given to Gemini or Claude as URLs, and to files "
            "for every translated service: `fetch` (guarded download here), `pass` (Google or "
            "Anthropic downloads; others refuse) or `refuse`."
        ),
    )
    strict_params: bool = setting(
        "STRICT_PARAMS",
        default="false",
        parser=parse.flag,
        section=SettingsSection.REQUESTS,
        text=(
            "`true`: parameters that Gemini lacks get 400. `false`: `x-jarvis-ignored` names them."
        ),
    )
    show_thoughts: Literal["auto", "always", "never"] = setting(
        "SHOW_THOUGHTS",
        default="auto",
        parser=parse.choice("auto", "always", "never"),
        section=SettingsSection.REQUESTS,
        text=(
            "Gemini's thoughts as `reasoning_content` if the request does not say: `auto` "
            "(streams of clients that give up in a long silence), `always` or `never`."
        ),
    )
    responses_state: Literal["none", "id"] = setting(
        "RESPONSES_STATE",
        default="none",
        parser=parse.choice("none", "id"),
        section=SettingsSection.REQUESTS,
        text=(
            "`id`: the id of a translated response carries its conversation, sealed, for "
            "clients that continue by `previous_response_id`. `none`: that parameter gets 400."
        ),
    )
    max_body: int = setting(
        "MAX_BODY_MB",
        default="64",
        unit="MB",
        parser=parse.mebibytes(1, 4096),
        section=SettingsSection.REQUESTS,
        text=(
            "Largest request body; a larger one gets 413. Also the largest message of a session of "
            "`/v1/realtime`, up to 32 MB."
        ),
    )
    workers: int = setting(
        "WORKERS",
        default="1",
        parser=parse.whole(1, 256),
        section=SettingsSection.PROCESSES,
        text=(
            "Processes that share the port, one per CPU core to use (Linux only). More than 1 "
            "needs `REDIS_URL`."
        ),
    )
    redis_url: str = setting(
        "REDIS_URL",
        parser=addresses.redis_url,
        value="",
        repr=False,
        section=SettingsSection.PROCESSES,
        text=(
            "Redis or Valkey, where processes and machines share limits, usage, upstream keys "
            "in quarantine and tool-call signatures; such as `redis://127.0.0.1:6379/0`."
        ),
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "LOG_LEVEL",
        default="info",
        parser=parse.choice("debug", "info", "warning", "error"),
        section=SettingsSection.LOG,
        text="`debug`, `info`, `warning` or `error`.",
    )
    log_format: Literal["text", "json"] = setting(
        "LOG_FORMAT",
        default="text",
        parser=parse.choice("text", "json"),
        section=SettingsSection.LOG,
        text="`text`, or `json` for one JSON object per line.",
    )
    state_dir: str = setting(
        "STATE_DIR",
        default="state",
        value="state",
        section=SettingsSection.NUMBERS,
        text=(
            "Folder for usage counters, relative to the folder of `.env` or absolute; it "
            "never holds content. Empty keeps the counters in memory."
        ),
    )
    prices_file: str = setting(
        "PRICES_FILE",
        parser=parse.file_path,
        value="",
        section=SettingsSection.NUMBERS,
        text="JSON file with your own prices, which override the built-in table.",
    )
    metrics_key: ClientKey | None = setting(
        "METRICS_KEY",
        parser=keys.metrics_key,
        value=None,
        section=SettingsSection.NUMBERS,
        text=(
            "Key of `/metrics`, 16 characters or more, or `sha256:digest`. Without it only "
            "programs on this machine may read the metrics, and only if `HOST` is a loopback "
            "address and `TRUSTED_PROXIES` is empty."
        ),
    )
    limits: ServerLimits = field(default_factory=ServerLimits)
    policies: Mapping[str, KeyPolicy] = field(default_factory=lambda: MappingProxyType({}))
    """Policies by client key name; a key without one has no limits."""
    warnings: tuple[str, ...] = ()
    """Warnings for the log at the start, about settings that work but may be mistakes."""

    @property
    def metrics_need_key(self) -> bool:
        """Whether /metrics requires METRICS_KEY, even for programs on this machine.

        If other machines can reach the server, or a reverse proxy is in front of it, a request from
        loopback may come from another machine.
        """
        on_loopback = all(map(addresses.is_loopback, self.hosts))
        return self.metrics_key is not None or bool(self.trusted_proxies) or not on_loopback

    @classmethod
    def from_env(
        cls, env: Mapping[str, str], *, is_readable: Callable[[str], bool] = lambda path: True
    ) -> "Settings":
        """Return the settings in *env*; *is_readable* tells whether a file can be read.

        Raises:
            SettingsError: with every problem, each naming its setting and what would be right.
        """
        reader = EnvReader(env)
        upstreams = routes.upstreams(reader)
        names = [upstream.name for upstream in upstreams]
        client_keys = keys.client_keys(reader)
        settings = cls(
            client_keys=client_keys,
            policies=policies(reader, client_keys),
            upstreams=upstreams,
            default_model=routes.default_model(reader, upstreams),
            model_aliases=routes.model_aliases(reader, names),
            fallbacks=routes.fallbacks(reader),
            cors_origins=_cors_origins(reader),
            state_dir=_state_dir(reader),
            limits=ServerLimits(**parse_fields(ServerLimits, reader)),
            **parse_fields(cls, reader),
        )
        _check_together(settings, reader, is_readable)
        if reader.problems:
            raise SettingsError(tuple(reader.problems))
        tls = bool(settings.tls_cert_file)
        warnings = (
            *reader.warnings,
            *exposure_warnings(
                settings.hosts,
                settings.client_keys,
                tls=tls,
                trusted_proxies=settings.trusted_proxies,
            ),
            *upstream_warnings(upstreams),
        )
        return replace(settings, warnings=tuple(dict.fromkeys(warnings)))


def _cors_origins(reader: EnvReader) -> tuple[str, ...]:
    """Return CORS_ORIGINS; an empty value, unlike an absent one, turns CORS off."""
    default = () if reader.has("CORS_ORIGINS") else ("*",)
    return reader.read("CORS_ORIGINS", addresses.origins, default)


def _state_dir(reader: EnvReader) -> str:
    """Return STATE_DIR; an empty value, unlike an absent one, turns storing off."""
    return reader.read("STATE_DIR", parse.file_path, "" if reader.has("STATE_DIR") else "state")


def _check_together(
    settings: Settings, reader: EnvReader, is_readable: Callable[[str], bool]
) -> None:
    """Report problems that concern several settings together."""
    files = {"TLS_CERT_FILE": settings.tls_cert_file, "TLS_KEY_FILE": settings.tls_key_file}
    for name, path in files.items():
        if not path and any(files.values()):
            reader.add_problem(name, "must be set too: HTTPS needs a certificate and its key")
        elif path and not is_readable(path):
            reader.add_problem(name, "must name a file that the server may read")
    if settings.prices_file and not is_readable(settings.prices_file):
        reader.add_problem("PRICES_FILE", "must name a file that the server may read")
    metrics = settings.metrics_key
    if metrics is not None and any(key.digest == metrics.digest for key in settings.client_keys):
        reader.add_problem(
            "METRICS_KEY", "must not be one of PROXY_API_KEYS: their holders would see all names"
        )
    admin = settings.admin_key
    if admin is not None and any(key.digest == admin.digest for key in settings.client_keys):
        reader.add_problem(
            "ADMIN_KEY", "must not be one of PROXY_API_KEYS: their holders would see all calls"
        )
    if settings.workers > 1 and not settings.redis_url:
        reader.add_problem(
            "WORKERS",
            "more than 1 needs REDIS_URL: without it each process would count limits and keep"
            " tool-call signatures for itself",
        )
    if settings.max_body > settings.limits.max_bytes_in_flight:
        reader.add_problem(
            "MAX_INFLIGHT_MB", "must be at least MAX_BODY_MB, or the largest body never gets in"
        )


ALL_SETTINGS: Final = (
    *list_settings(Settings),
    *list_settings(ServerLimits),
    *list_settings(KeyPolicy),
)
"""Every setting, for the documentation.

``<NAME>`` stands for a name in UPSTREAMS, and in ``KEY_<NAME>_`` for a name in PROXY_API_KEYS.
"""
