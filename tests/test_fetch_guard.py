"""What a client may write, a resolver answer or a server redirect to: none of it is dialled.

The canary is a listener on loopback that must never be reached. That the guard is what keeps it
safe is shown next to it: with the guard off, the same URL does reach the canary.
"""

import asyncio
import random
import socket
from collections.abc import Callable

import pytest
import uvloop
from aiohttp.abc import ResolveResult

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.upstream_client.ip_policy import is_public
from jarvis_proxy.upstream_client.media_fetcher import FetchLimits, MediaFetcher
from tests.support.raw_site import (
    CANARY,
    SITE,
    FakeResolver,
    anything_here,
    fetch,
    fetching,
    is_refusal,
    listening,
    redirect,
    reply,
)

pytestmark = pytest.mark.slow

NAMES = {
    "canary.test": ["127.0.0.1"],
    "localhost": ["127.0.0.1"],
    "xn--bcher-kva.test": ["127.0.0.1"],
    "six.test": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "any.test": ["0.0.0.0"],
    "mixed.test": ["10.0.0.1", "::1", "127.0.0.1", "169.254.169.254"],
    "private.test": ["10.0.0.1", "192.168.1.1", "fd00::1"],
    # Answers that are themselves no address: what dials would look them up once more.
    "legacy.test": ["127.1"],
    "name.test": ["localhost"],
    "zone.test": ["fe80::1%1"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "sixtofour.test": ["2002:7f00:1::1"],
    "compatible.test": ["::127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "multicast.test": ["224.0.0.1"],
}

# URL, and whether it reaches the canary when the guard is off.
TRICKS = [
    # Plain loopback, in all its numbers.
    ("http://127.0.0.1:{port}/", True),
    ("http://127.0.0.2:{port}/", True),
    ("http://127.255.255.254:{port}/", True),
    ("http://0.0.0.0:{port}/", True),
    ("HTTP://127.0.0.1:{port}/", True),
    ("http://127.0.0.1:{port}", True),
    ("http://127.0.0.1:{port}?a", True),
    ("http://127.0.0.1:{port}#@public.test/", True),
    ("http://127.0.0.1:{port}?@public.test/", True),
    (" \r\n\thttp://127.0.0.1:{port}/\n", True),
    ("http://127.0.0.1.:{port}/", False),
    ("http://127.1:{port}/", False),
    ("http://127.0.1:{port}/", False),
    ("http://0:{port}/", False),
    ("http://2130706433:{port}/", False),
    ("http://017700000001:{port}/", False),
    ("http://0177.0.0.1:{port}/", False),
    ("http://127.0.0.01:{port}/", False),
    ("http://127.0.0.1.0:{port}/", False),
    ("http://383.0.0.1:{port}/", False),
    ("http://0x7f000001:{port}/", True),
    ("http://0x7f.1:{port}/", True),
    ("http://0x7F.0x0.0x0.0x1:{port}/", True),
    ("http://0x7f.0.0.01:{port}/", True),
    ("http://0x0:{port}/", True),
    # Characters that IDNA folds to digits, letters and dots.
    ("http://１２７.０.０.１:{port}/", True),
    ("http://①②⑦.⓪.⓪.①:{port}/", True),
    ("http://127。0。0。1:{port}/", True),
    ("http://ｃａｎａｒｙ．ｔｅｓｔ:{port}/", True),
    ("http://ⓒanary.test:{port}/", True),
    ("http://127.0.0.1:{wide_port}/", True),
    ("http://bücher.test:{port}/", True),
    ("http://127.0.0\u00ad.1:{port}/", False),
    ("http://127.0.0.1\u2044@canary.test:{port}/", False),
    ("http://\ud800:{port}/", False),
    ("http://xn--:{port}/", False),
    # IPv6.
    ("http://[::1]:{port}/", True),
    ("http://[0:0:0:0:0:0:0:1]:{port}/", True),
    ("http://[0000:0000:0000:0000:0000:0000:0000:0001]:{port}/", True),
    ("http://[::]:{port}/", True),
    ("http://[::ffff:127.0.0.1]:{port}/", True),
    ("http://[::ffff:7f00:1]:{port}/", True),
    ("http://[::FFFF:0.0.0.0]:{port}/", True),
    ("http://[::127.0.0.1]:{port}/", False),
    ("http://[64:ff9b::7f00:1]:{port}/", False),
    ("http://[2002:7f00:1::]:{port}/", False),
    ("http://[2001:0:7f00:1::]:{port}/", False),
    ("http://[fd00:ec2::254]:{port}/", False),
    ("http://[::1%25lo]:{port}/", False),
    ("http://[::1%lo]:{port}/", False),
    ("http://[::1%251]:{port}/", False),
    ("http://[fe80::1%251]:{port}/", False),
    ("http://[127.0.0.1]:{port}/", False),
    ("http://[::1]evil:{port}/", False),
    ("http://[::1:{port}/", False),
    ("http://[v1.127.0.0.1]:{port}/", False),
    # Names, and what resolvers may answer.
    ("http://canary.test:{port}/", True),
    ("http://CaNaRy.TeSt:{port}/", True),
    ("http://canary.test.:{port}/", True),
    ("http://canary.test..:{port}/", True),
    ("http://localhost:{port}/", True),
    ("http://six.test:{port}/", True),
    ("http://mapped.test:{port}/", True),
    ("http://any.test:{port}/", True),
    ("http://mixed.test:{port}/", True),
    ("http://legacy.test:{port}/", True),
    ("http://name.test:{port}/", True),
    ("http://compatible.test:{port}/", False),
    ("http://nat64.test:{port}/", False),
    ("http://sixtofour.test:{port}/", False),
    ("http://nowhere.test:{port}/", False),
    # Userinfo, and authorities that two parsers read differently.
    ("http://user@127.0.0.1:{port}/", False),
    ("http://user:password@127.0.0.1:{port}/", False),
    ("http://:@127.0.0.1:{port}/", False),
    ("http://public.test@127.0.0.1:{port}/", False),
    ("http://public.test:80@127.0.0.1:{port}/", False),
    ("http://public.test#@127.0.0.1:{port}/", False),
    ("http://public.test?@127.0.0.1:{port}/", False),
    ("http://public.test/@127.0.0.1:{port}/", False),
    ("http://public.test\\@127.0.0.1:{port}/", False),
    ("http://127.0.0.1:{port}\\@public.test/", False),
    ("http://127.0.0.1:{port}\\.public.test/", False),
    ("http:\\\\127.0.0.1:{port}/", False),
    ("http:/\\127.0.0.1:{port}/", False),
    ("http://127.0.0.1:{port}/\\", False),
    # Encoded and broken hosts.
    ("http://%31%32%37.0.0.1:{port}/", False),
    ("http://canary%2etest:{port}/", False),
    ("http://127.0.0.1%00.public.test:{port}/", False),
    ("http://127.0.0.1%2f@public.test:{port}/", False),
    ("http://127.0.0.1%23.public.test:{port}/", False),
    ("http://127.0.0.1%0d%0a:{port}/", False),
    ("http://127.0.0.1 :{port}/", False),
    ("http://127.0.0.1\t:{port}/", False),
    ("http://127.0.0.1:{port}/\r\nX: y", False),
    ("http://127.0.0.1:{port}/\x00", False),
    ("ht\ntp://127.0.0.1:{port}/", False),
    ("http://127.0.0.1,canary.test:{port}/", False),
    ("http://*:{port}/", False),
    ("http://" + "a" * 64 + ".test:{port}/", False),
    ("http://127.0.0.1:{port}/" + "a" * 8192, False),
    # Ports.
    ("http://127.0.0.1:0/", False),
    ("http://127.0.0.1:-{port}/", False),
    ("http://127.0.0.1:99999/", False),
    ("http://127.0.0.1:80:{port}/", False),
    ("http://127.0.0.1:{port}:80/", False),
    ("http://127.0.0.1:{port}.0/", False),
    ("http://127.0.0.1/", False),
    # Other schemes, and none.
    ("file:///etc/passwd", False),
    ("file://127.0.0.1:{port}/etc/passwd", False),
    ("ftp://127.0.0.1:{port}/", False),
    ("gopher://127.0.0.1:{port}/_GET%20/", False),
    ("dict://127.0.0.1:{port}/stat", False),
    ("ldap://127.0.0.1:{port}/", False),
    ("tcp://127.0.0.1:{port}/", False),
    ("ws://127.0.0.1:{port}/", False),
    ("unix://127.0.0.1:{port}/", False),
    ("http+unix://127.0.0.1:{port}/", False),
    ("jar:http://127.0.0.1:{port}/!/", False),
    ("view-source:http://127.0.0.1:{port}/", False),
    ("javascript:fetch('http://127.0.0.1:{port}/')", False),
    ("data:image/png;base64,AAAA", False),
    ("//127.0.0.1:{port}/", False),
    ("127.0.0.1:{port}/", False),
    ("http:127.0.0.1:{port}/", False),
    ("http:/127.0.0.1:{port}/", False),
    ("http:///127.0.0.1:{port}/", False),
    ("http://", False),
    ("http://:{port}/", False),
    ("://127.0.0.1:{port}/", False),
    ("", False),
]

# Refused before any dialling on this machine's loopback could happen; no canary can sit there.
METADATA = [
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://metadata.test/computeMetadata/v1/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://100.100.100.200/latest/meta-data/",
    "http://192.0.0.192/opc/v2/instance/",
    "http://168.63.129.16/machine?comp=goalstate",
    "http://0xa9fea9fe/",
    "http://private.test/",
    "http://zone.test/",
    "http://multicast.test/",
    "http://255.255.255.255/",
]


def spelled(url: str, port: int) -> str:
    wide = "".join(chr(0xFF10 + int(digit)) for digit in str(port))
    return url.replace("{port}", str(port)).replace("{wide_port}", wide)


def trick_ids(url: str) -> str:
    return ascii(url)[:60]


def has_ipv6() -> bool:
    """Return whether this machine has an IPv6 loopback at all."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


HAS_IPV6 = has_ipv6()
EVERYWHERE = ("0.0.0.0", "::") if HAS_IPV6 else ("0.0.0.0",)


def test_there_are_at_least_sixty_tricks_and_the_guard_alone_stops_thirty() -> None:
    assert len({url for url, _ in TRICKS}) == len(TRICKS) >= 60
    assert sum(reaches for _, reaches in TRICKS) >= 30


@pytest.mark.parametrize(("url", "reaches"), TRICKS, ids=[trick_ids(url) for url, _ in TRICKS])
async def test_no_trick_dials_the_canary(url: str, reaches: bool) -> None:
    async with listening(EVERYWHERE) as canary:
        async with fetching(canary.port, allow=None, names=NAMES) as fetcher:
            result = await fetch(fetcher, spelled(url, canary.port))
        assert is_refusal(result)
        assert canary.connections == 0

        async with fetching(canary.port, allow=anything_here, names=NAMES) as unguarded:
            await fetch(unguarded, spelled(url, canary.port))
        if HAS_IPV6 or ("[" not in url and "six" not in url and "mapped" not in url):
            assert reaches == (canary.connections > 0)


@pytest.mark.parametrize("url", METADATA)
async def test_metadata_services_and_private_networks_are_asked_for_and_refused(url: str) -> None:
    verdicts: list[bool] = []

    def judge(address: str) -> bool:
        verdicts.append(is_public(address))
        return verdicts[-1]

    async with fetching(80, allow=judge, names=NAMES) as fetcher:
        assert is_refusal(await fetch(fetcher, url))

    assert verdicts
    assert not any(verdicts)


async def test_the_fetcher_of_production_refuses_this_machine_by_name() -> None:
    """With the system's resolver and the real guard."""
    async with listening(EVERYWHERE) as canary:
        limits = FetchLimits(ports=frozenset((canary.port,)))
        guarded = MediaFetcher(limits=limits)
        assert is_refusal(await fetch(guarded, f"http://localhost:{canary.port}/"))
        await guarded.close()
        assert canary.connections == 0

        unguarded = MediaFetcher(limits=limits, allow=anything_here)
        await fetch(unguarded, f"http://localhost:{canary.port}/")
        await unguarded.close()
        assert canary.connections >= 1


def test_no_trick_dials_the_canary_on_uvloop() -> None:
    """Production runs on uvloop, whose sockets are its own."""

    async def dialled(allow: Callable[[str], bool] | None) -> int:
        async with (
            listening(EVERYWHERE) as canary,
            fetching(canary.port, allow=allow, names=NAMES) as fetcher,
        ):
            results = await fetcher.fetch_all([spelled(url, canary.port) for url, _ in TRICKS])
            assert all(is_refusal(result) for result in results.values())
            return canary.connections

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        guarded = runner.run(dialled(None))
        unguarded = runner.run(dialled(anything_here))

    assert guarded == 0
    assert unguarded >= 30


async def test_a_port_that_is_not_allowed_is_not_dialled() -> None:
    async with listening((SITE,)) as site:
        async with fetching(80) as fetcher:
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{site.port}/"))
        assert site.connections == 0

        async with fetching(site.port) as fetcher:
            await fetch(fetcher, f"http://{SITE}:{site.port}/")
        assert site.connections == 1


async def test_the_port_in_a_resolvers_answer_is_checked_too() -> None:
    class OtherPort(FakeResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            return [self.answer(host, SITE, site.port)]

    async with listening((SITE,)) as site:
        limits = FetchLimits(ports=frozenset((80,)))
        async with fetching(80, resolver=OtherPort(), limits=limits) as fetcher:
            assert is_refusal(await fetch(fetcher, "http://site.test/"))
        assert site.connections == 0


# A resolver that changes its answer.


class FlippingResolver(FakeResolver):
    """Gives the site's address or the canary's, by turns that *choose* decides."""

    def __init__(self, choose: Callable[[int], list[str]]) -> None:
        super().__init__()
        self.choose = choose
        self.calls = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.calls += 1
        return [self.answer(host, address, port) for address in self.choose(self.calls)]


async def test_a_resolver_that_flips_after_the_first_answer_gains_nothing() -> None:
    resolver = FlippingResolver(lambda call: [SITE] if call == 1 else [CANARY])
    async with listening((SITE,)) as site, listening((CANARY,), site.port) as canary:
        site.answers["/a"] = redirect("/b")
        site.answers["/b"] = reply()
        async with fetching(site.port, resolver=resolver) as fetcher:
            result = await fetch(fetcher, f"http://flip.test:{site.port}/a")

        assert is_refusal(result)
        assert resolver.calls == 2
        assert (site.connections, canary.connections) == (1, 0)


async def test_a_thousand_rebindings_never_reach_the_canary() -> None:
    choice = random.Random(21)
    resolver = FlippingResolver(lambda call: choice.sample([SITE, CANARY], choice.randint(1, 2)))
    async with listening((SITE,)) as site, listening((CANARY,), site.port) as canary:
        for number in range(1000):
            site.answers[f"/{number}"] = reply()
        urls = [f"http://flip.test:{site.port}/{number}" for number in range(1000)]
        async with fetching(site.port, resolver=resolver) as fetcher:
            results = await fetcher.fetch_all(urls)

        assert canary.connections == 0
        # Where the answer held the site's address too, the canary's was passed over.
        assert 250 < sum(isinstance(result, Media) for result in results.values()) < 1000


# Redirects.

REDIRECT_TARGETS = [
    "http://127.0.0.2:{port}/",
    "HTTP://127.0.0.2:{port}/",
    "//127.0.0.2:{port}/",
    "http://canary.test:{port}/",
    "http://0x7f.0.0.2:{port}/",
    "http://[::ffff:127.0.0.2]:{port}/",
]

BAD_REDIRECT_TARGETS = [
    "file:///etc/passwd",
    "ftp://127.0.0.2:{port}/",
    "gopher://127.0.0.2:{port}/_x",
    "tcp://127.0.0.2:{port}/",
    "ws://127.0.0.2:{port}/",
    "data:image/png;base64,iVBORw0KGgo=",
    "javascript:alert(1)",
    "http://user@127.0.0.2:{port}/",
    "http://127.0.0.1:{port}\\@127.0.0.2:{port}/",
    "\\\\127.0.0.2:{port}/",
    "http://127.0.0.2:1/",
    "http://[::1%25lo]:{port}/",
    "http://127.0.0.2\x00:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[",
    "http://\udcff:{port}/",
    "",
]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", REDIRECT_TARGETS)
async def test_a_redirect_to_the_canary_is_not_followed(target: str, status: int) -> None:
    names = {"canary.test": [CANARY]}
    async with listening((SITE,)) as site, listening((CANARY,), site.port) as canary:
        site.answers["/a"] = redirect(spelled(target, site.port), status)
        url = f"http://{SITE}:{site.port}/a"
        async with fetching(site.port, names=names) as fetcher:
            assert is_refusal(await fetch(fetcher, url))
        assert canary.connections == 0

        async with fetching(site.port, names=names, allow=anything_here) as unguarded:
            await fetch(unguarded, url)
        assert canary.connections == 1


@pytest.mark.parametrize("target", BAD_REDIRECT_TARGETS, ids=trick_ids)
async def test_a_redirect_elsewhere_than_plain_http_is_refused(target: str) -> None:
    async with listening((SITE,)) as site, listening((CANARY,), site.port) as canary:
        site.answers["/a"] = redirect(spelled(target, site.port))
        async with fetching(site.port, allow=anything_here) as fetcher:
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{site.port}/a"))
        assert canary.connections == 0
