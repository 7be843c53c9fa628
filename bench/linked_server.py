"""This proxy, with links to this machine allowed: for measuring downloads. IO.

Run as ``python -m bench.linked_server``. Never serve anybody with it.
"""

from typing import Any, Final

from jarvis_proxy.cli import main
from jarvis_proxy.upstream_client.media_fetcher import FetchLimits, MediaFetcher

_ANY_PORT: Final = frozenset(range(1, 65536))


def _allow_everything() -> None:
    # No setting does this, and none should: what is changed are the defaults of two parameters.
    fetcher: Any = MediaFetcher.__init__
    limits: Any = FetchLimits.__init__
    fetcher.__kwdefaults__["allow"] = lambda address: True
    limits.__kwdefaults__["ports"] = _ANY_PORT


if __name__ == "__main__":
    _allow_everything()
    main([])
