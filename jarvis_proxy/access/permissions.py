"""What one client key may do: which models, from where, until when. Pure."""

from collections.abc import Callable, Iterator

from jarvis_proxy.access.client_ip import is_within, parse_ip
from jarvis_proxy.config.key_policies import KeyPolicy
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.models import ModelRoute
from jarvis_proxy.wire.text import printable


class KeyPermissions:
    """A key's policy, ready for checks. *route* resolves a model's name."""

    __slots__ = ("_policy", "_prefixes", "_resolve", "_routes")

    def __init__(self, policy: KeyPolicy, route: Callable[[str], ModelRoute]) -> None:
        self._policy = policy
        self._resolve = route
        self._routes = frozenset(route(name) for name in policy.models if not name.endswith("*"))
        self._prefixes = tuple(name[:-1] for name in policy.models if name.endswith("*"))

    @property
    def is_limited(self) -> bool:
        """Whether there are models that the key may not use."""
        return bool(self._policy.models)

    def is_valid_at(self, address: str, now: float) -> bool:
        """Return whether the key is valid from *address* at *now* (epoch seconds)."""
        policy = self._policy
        if policy.expires is not None and now >= policy.expires:
            return False
        return not policy.cidrs or is_within(parse_ip(address), policy.cidrs)

    def allows(self, model: str | None, route: ModelRoute) -> bool:
        """Return whether the key may use *model*, which leads to *route*; None: it was not named.

        A model that is listed in full may be used by each of its names. A prefix is compared with
        the name in the request, with ``upstream/model``, and with the upstream's own name if it
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
    """Return 404 `model_not_found`: the same for a hidden model as for an unknown one."""
    return ProxyError(
        404,
        f"The model '{printable(model)}' does not exist or this key may not use it.",
        code="model_not_found",
        param="model",
        should_retry=False,
    )


def model_needed() -> ProxyError:
    """Return 404 `model_not_found` for a key with a list of models and a call that names none."""
    return ProxyError(
        404,
        "This key may use certain models only, and the request names none.",
        code="model_not_found",
        param="model",
        should_retry=False,
    )
