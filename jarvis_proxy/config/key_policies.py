"""Policies of single client keys: ``KEY_<NAME>_MODELS`` and similar settings. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Final, NoReturn

from jarvis_proxy.config import parsers as parse
from jarvis_proxy.config.addresses import networks
from jarvis_proxy.config.budgets import Budget, parse_budgets
from jarvis_proxy.config.client_keys import ClientKey
from jarvis_proxy.config.fields import SettingsSection, parse_fields, setting
from jarvis_proxy.config.parsers import EnvReader

_KINDS: Final = ("MODELS", "RPM", "TPM", "CONCURRENCY", "BUDGET", "EXPIRES", "CIDRS")
_SETTING: Final = re.compile(rf"KEY_([A-Z0-9_]{{1,64}})_(?:{'|'.join(_KINDS)})", re.I | re.A)
_NOT_IN_NAMES: Final = re.compile(r"[^A-Z0-9]")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(_DAY.pattern + r"[T ][0-9:]{5,8}(?:Z|[+-][0-9]{2}:?[0-9]{2})", re.I)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _models(text: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for number, entry in enumerate(parse.split(text), 1):
        try:
            parse.model_name(entry.removesuffix("*") or "all")
        except ValueError:
            raise ValueError(
                f"entry {number} must be a model's name; a * may stand at its end only"
            ) from None
        found[entry] = None
    return tuple(found) or _refuse_nothing()


def _cidrs(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return networks(text) or _refuse_nothing()


def _refuse_nothing() -> NoReturn:
    # An empty list means all models; a lone comma is probably a mistake.
    raise ValueError("must hold at least one entry, or be left out")


def _expires(text: str) -> float:
    """Parse a key's expiry: a time, or a UTC day, at whose end the key expires."""
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return (start - _EPOCH + timedelta(days=1)).total_seconds()
        if _MOMENT.fullmatch(text):
            return (datetime.fromisoformat(text.upper()) - _EPOCH).total_seconds()
    except ValueError:
        pass
    raise ValueError(
        "must be the last day, such as 2027-01-31 (UTC), or a time with its zone, such as"
        " 2027-01-31T18:00:00Z or 2027-01-31T18:00:00+01:00"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPolicy:
    """The limits of one client key; None or an empty list is no limit.

    A name in *models* that ends in ``*`` is a prefix. *expires* is in epoch seconds.
    """

    models: tuple[str, ...] = setting(
        "KEY_<NAME>_MODELS",
        parser=_models,
        value=(),
        section=SettingsSection.KEYS,
        text=(
            "Models that the client key `NAME` may use, comma-separated; a `*` at the end "
            "matches a prefix. Empty: all."
        ),
    )
    rpm: int | None = setting(
        "KEY_<NAME>_RPM",
        parser=parse.whole(1, 1_000_000),
        value=None,
        section=SettingsSection.KEYS,
        text="Requests per minute of the client key `NAME`; more get 429.",
    )
    tpm: int | None = setting(
        "KEY_<NAME>_TPM",
        parser=parse.whole(1, 999_999_999),
        value=None,
        section=SettingsSection.KEYS,
        text="Tokens per minute of the client key `NAME`, input and output; more get 429.",
    )
    concurrency: int | None = setting(
        "KEY_<NAME>_CONCURRENCY",
        parser=parse.whole(1, 1_000_000),
        value=None,
        section=SettingsSection.KEYS,
        text="Concurrent requests of the client key `NAME`; more get 429.",
    )
    budget: tuple[Budget, ...] = setting(
        "KEY_<NAME>_BUDGET",
        parser=parse_budgets,
        value=(),
        section=SettingsSection.KEYS,
        text=(
            "Budget of the client key `NAME` per day or month (UTC), such as `5USD/day` or "
            "`2000000tokens/month`, or several, comma-separated; then it gets 429."
        ),
    )
    expires: float | None = setting(
        "KEY_<NAME>_EXPIRES",
        parser=_expires,
        value=None,
        section=SettingsSection.KEYS,
        text=(
            "Last day of the client key `NAME`, such as `2027-01-31` (UTC), or a time with "
            "its zone; then it gets 401."
        ),
    )
    cidrs: tuple[IPv4Network | IPv6Network, ...] = setting(
        "KEY_<NAME>_CIDRS",
        parser=_cidrs,
        value=(),
        section=SettingsSection.KEYS,
        text=(
            "Networks from which the client key `NAME` may be used, comma-separated; from "
            "others it gets 401. Empty: all."
        ),
    )


def policies(reader: EnvReader, keys: Iterable[ClientKey]) -> Mapping[str, KeyPolicy]:
    """Return the policies by client key name, without keys that have no policy."""
    owners: dict[str, list[str]] = {}
    for key in keys:
        owners.setdefault(policy_name(key.name), []).append(key.name)
    # Otherwise the names are not known.
    if not reader.problems_of("PROXY_API_KEYS"):
        for setting in reader.names():
            _check_name(reader, setting, owners)
    found: dict[str, KeyPolicy] = {}
    for name, (owner, *others) in owners.items():
        policy = KeyPolicy(**parse_fields(KeyPolicy, reader, name))
        if policy != KeyPolicy():
            found[owner] = policy
            if others:
                reader.add_problem(
                    f"KEY_{name}_{_first(policy)}",
                    f"is meant for several keys ({', '.join((owner, *others))}): give them names"
                    " that differ in more than case and punctuation",
                )
    return MappingProxyType(found)


def policy_name(key_name: str) -> str:
    """Return <NAME> in a client key's settings: upper case, with ``_`` for invalid characters."""
    return _NOT_IN_NAMES.sub("_", key_name.upper())


def is_policy_setting(name: str) -> bool:
    """Return whether an environment variable has the form of a client key's setting."""
    return _SETTING.fullmatch(name) is not None


def _check_name(reader: EnvReader, setting: str, owners: Mapping[str, list[str]]) -> None:
    """Report a setting that nearly names a client key: a typo must not disable a limit."""
    match = _SETTING.fullmatch(setting)
    if match is None:
        if any(setting.upper().startswith(f"KEY_{name}_") for name in owners):
            reader.add_problem(setting, f"is no setting; a client key's end in {', '.join(_KINDS)}")
    elif setting != setting.upper():
        reader.add_problem(setting, f"must be written {setting.upper()}")
    elif match[1] not in owners and reader.text(setting):
        reader.add_problem(
            setting,
            "is for a client key that PROXY_API_KEYS does not name; that of laptop:key begins"
            " with KEY_LAPTOP_",
        )


def _first(policy: KeyPolicy) -> str:
    """Return the name of the first limit that *policy* sets."""
    return next(
        spec.name for spec in fields(policy) if getattr(policy, spec.name) != spec.default
    ).upper()
