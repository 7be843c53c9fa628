"""Compatibility hints for misconfigured clients, whose unusual requests still work. Pure.

A hint is for the client's administrator, once per key.
"""

from typing import Final

_SPARE_PREFIXES: Final = ("/v1/v1/", "/openai/v1/", "/api/v1/")


class CompatHints:
    """Reports the first unusual request of each client key."""

    __slots__ = ("_hinted_keys",)

    def __init__(self) -> None:
        self._hinted_keys: set[str] = set()

    def hint(
        self, key: str, path: str, authorization: str | None, *, in_query: bool
    ) -> tuple[str, ...]:
        """Return what is unusual about a request of *key*; empty after the first time.

        *path* is as received; *in_query* tells whether the query contains a key.
        """
        bare = authorization is not None and " " not in authorization.strip()
        if not (bare or in_query or _is_unusual(path)) or key in self._hinted_keys:
            return ()
        self._hinted_keys.add(key)
        return tuple(_describe(path, bare=bare, in_query=in_query))


def _is_unusual(path: str) -> bool:
    return "//" in path or path[-1:] == "/" or path.startswith(_SPARE_PREFIXES)


def _describe(path: str, *, bare: bool, in_query: bool) -> list[str]:
    words = []
    if in_query:
        words.append(
            "it stands in the address (?key=), where logs of reverse proxies may keep it: "
            "'Authorization: Bearer KEY' is safer"
        )
    if bare:
        words.append("it comes without 'Bearer' before it")
    if "//" in path or path[-1:] == "/":
        words.append("the address has a slash too many")
    prefix = next((p for p in _SPARE_PREFIXES if path.startswith(p)), None)
    if prefix is not None:
        words.append(f"the address begins with {prefix}: a base URL that ends in /v1 is enough")
    return words
