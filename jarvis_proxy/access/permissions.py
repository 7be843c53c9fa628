"""The permissions of a client key: which models, from where, until when. Pure."""

from collections.abc import Callable, Iterator

from jarvis_proxy.access.client_ip import is_within, parse_ip
from jarvis_proxy.config.key_policies import KeyPolicy
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.models import ModelRoute
from jarvis_proxy.wire.text import printable


class KeyPermissions:
    """A key's policy, prepared for checks. *route* resolves a model's name."""

    __slots__ = ("_policy", "_prefixes", "_resolve", "_routes")

    def __init__(self, policy: KeyPolicy, route: Callable[[str], ModelRoute]) -> None:
        self._policy = policy
        self._resolve = route
        self._routes = frozenset(route(name) for name in policy.models if not name.endswith("*"))
        self._prefixes = tuple(name[:-1] for name in policy.models if name.endswith("*"))

    @property
    def is_limited(self) -> bool:
        """Whether the key may use only some models."""
        return bool(self._policy.models)

    def is_valid_at(self, address: str, now: float) -> bool:
        """Return whether the key is valid from *address* at *now* (epoch seconds)."""
        policy = self._policy
        if policy.expires is not None and now >= policy.expires:
            return False
        return not policy.cidrs or is_within(parse_ip(address), policy.cidrs)

    def allows(self, model: str | None, route: ModelRoute) -> bool:
        """Return whether the key may use *model* on *route*; a *model* of None was not named.

        A model listed in full may be used under each of its names. A prefix is compared with the
        name in the request, with ``upstream/model``, and with the upstream's own name if that
        resolves to the same route.
        """
        if not self.is_limited or route in self._routes:
            return True
        return any(name.startswith(self._prefixes) for name in self._names(model, route))

    def _names(self, model: str | None, route: ModelRoute) -> Iterator[str]:
        if model is not None:
            yield model
        yield f"{route.upstream}/{route.upstream_model}"
        if route.upstream_model and self._resolve(route.upstream_model) == route:
            yield route.upstream_model


def model_not_found(model: str) -> ProxyError:
    """Return 404 `model_not_found`, which is the same for hidden and unknown models."""
    return ProxyError(
        404,
        f"The model '{printable(model)}' does not exist or this key may not use it.",
        code="model_not_found",
        param="model",
        should_retry=False,
    )


def model_needed() -> ProxyError:
    """Return 404 `model_not_found` for a key limited to some models if a call names none."""
    return ProxyError(
        404,
        "This key may use certain models only, and the request names none.",
        code="model_not_found",
        param="model",
        should_retry=False,
    )
