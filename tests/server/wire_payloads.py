"""Requests as bytes, odd ones and malicious ones, each with what it must come to. Data."""

from dataclasses import dataclass
from typing import Final

from tests.conftest import KEY


@dataclass(frozen=True, slots=True)
class Case:
    """*answers* are the statuses in order, *upstream* how many requests the upstream may see.

    *kept* tells that the connection must be usable afterwards; else it must be closed. *lingers*:
    it is closed late, since the server reads on for a moment to let the client have its answer.
    """

    id: str
    payload: bytes
    answers: tuple[int, ...]
    keeps_connection: bool = False
    upstream: int = 0
    lingers: bool = False


AUTH: Final = f"Authorization: Bearer {KEY}".encode()
HOST: Final = b"Host: proxy"
JSON: Final = b"Content-Type: application/json"
BODY: Final = b'{"model":"gpt-4o","messages":[]}'
CHUNKS: Final = b"20\r\n" + BODY + b"\r\n0\r\n\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked"
POST: Final = b"POST /v1/chat/completions HTTP/1.1"
SMUGGLED: Final = b"GET /v1/models HTTP/1.1\r\nHost: smuggled\r\n" + AUTH + b"\r\n\r\n"
HEALTH: Final = b"GET /health HTTP/1.1\r\nHost: proxy\r\n\r\n"


def request(*lines: bytes, body: bytes = b"", line: bytes = POST, host: bytes = HOST) -> bytes:
    """Return a chat request with *lines* as its further headers; no length is added."""
    head = [line, *([host] if host else []), AUTH, JSON, *lines, b"", b""]
    return b"\r\n".join(head) + body


def sized(*lines: bytes, line: bytes = POST, host: bytes = HOST) -> bytes:
    """Return a chat request that is right but for *lines*, its first line or its host."""
    return request(b"Content-Length: %d" % len(BODY), *lines, body=BODY, line=line, host=host)


def length(value: bytes, body: bytes = BODY) -> bytes:
    """Return a request whose Content-Length is *value*, with another one behind it."""
    return request(b"Content-Length:" + value, body=body) + SMUGGLED


def coding(value: bytes, *lines: bytes, body: bytes = CHUNKS) -> bytes:
    """Return a request whose Transfer-Encoding is *value*, with another one behind it."""
    return request(b"Transfer-Encoding:" + value, *lines, body=body) + SMUGGLED


def chunks(body: bytes) -> bytes:
    """Return a chunked request with *body* as it goes over the wire, and another one behind it."""
    return request(CHUNKED, body=body) + SMUGGLED


def target(path: bytes, *, auth: bool = True, method: bytes = b"GET") -> bytes:
    """Return a request without a body for *path*."""
    lines = [method + b" " + path + b" HTTP/1.1", HOST, *([AUTH] if auth else []), b"", b""]
    return b"\r\n".join(lines)


def _lengths() -> list[Case]:
    size = b"%d" % len(BODY)
    values = {
        "length list": b" 3, 3",
        "length list, equal": b" %b, %b" % (size, size),
        "plus length": b" +" + size,
        "negative length": b" -1",
        "hexadecimal length": b" 0x20",
        "octal length": b" 0o40",
        "float length": b" 32.0",
        "exponent length": b" 3e1",
        "length with an underscore": b" 3_2",
        "length in arabic digits": " ٣٢".encode(),
        "length in fullwidth digits": " ３２".encode(),
        "empty length": b"",
        "blank length": b" ",
        "length 2**64": b" 18446744073709551616",
        "length 2**65": b" 36893488147419103232",
        "length in two": b" 3 2",
        "length and a word": b" 32 bytes",
        "length with a nul": b" 32\x00",
        "length after a vertical tab": b" \x0b32",
        "quoted length": b' "32"',
    }
    cases = [Case(name, length(value), (400,)) for name, value in values.items()]
    return [
        *cases,
        Case("two lengths, equal", request(*[b"Content-Length: 32"] * 2, body=BODY), (400,)),
        Case(
            "two lengths",
            request(b"Content-Length: 32", b"Content-Length: 3", body=BODY) + SMUGGLED,
            (400,),
        ),
        Case("length, then chunks", request(b"Content-Length: 32", CHUNKED, body=CHUNKS), (400,)),
        Case(
            "chunks, then length",
            request(CHUNKED, b"Content-Length: 4", body=CHUNKS) + SMUGGLED,
            (400,),
        ),
        Case("length, zeros before", length(b" 00032")[: -len(SMUGGLED)], (200,), True, 1),
        Case("length, spaces after", length(b"  32  ")[: -len(SMUGGLED)], (200,), True, 1),
    ]


def _codings() -> list[Case]:
    refused = {
        "xchunked": b" xchunked",
        "identity": b" identity",
        "gzip alone": b" gzip",
        "chunked twice": b" chunked, chunked",
        "chunked, gzip": b" chunked, gzip",
        "chunked, identity": b" chunked, identity",
        "quoted chunked": b' "chunked"',
        "chunked with a parameter": b" chunked;q=1",
        "chunked after a vertical tab": b" \x0bchunked",
        "chunked with a nul": b" chunked\x00",
        "empty coding": b"",
    }
    two = (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity")
    old = b"POST /v1/chat/completions HTTP/1.0"
    return [
        *(Case(name, coding(value), (400,)) for name, value in refused.items()),
        Case("gzip, chunked", coding(b" gzip, chunked"), (501,)),
        Case("deflate, chunked", coding(b" deflate,chunked"), (501,)),
        Case("identity, chunked", coding(b" identity, chunked"), (501,)),
        Case("two codings", request(*two, body=CHUNKS) + SMUGGLED, (400,)),
        Case("two codings, other order", request(*two[::-1], body=CHUNKS) + SMUGGLED, (400,)),
        Case("two codings, equal", request(CHUNKED, CHUNKED, body=CHUNKS) + SMUGGLED, (400,)),
        Case("coding with a space", request(CHUNKED.replace(b":", b" :"), body=CHUNKS), (400,)),
        Case("coding with a tab", request(CHUNKED.replace(b":", b"\t:"), body=CHUNKS), (400,)),
        Case("coding, folded", coding(b"\r\n chunked"), (400,)),
        Case(
            "chunks in http/1.0",
            request(CHUNKED, b"Connection: keep-alive", body=CHUNKS, line=old) + SMUGGLED,
            (400,),
        ),
        Case("chunked behind a tab", coding(b"\tchunked")[: -len(SMUGGLED)], (200,), True, 1),
        Case("ChUnKeD", coding(b" ChUnKeD")[: -len(SMUGGLED)], (200,), True, 1),
        Case("chunked", coding(b" chunked")[: -len(SMUGGLED)], (200,), True, 1),
    ]


def _chunks() -> list[Case]:
    rest = b"\r\n" + BODY + b"\r\n0\r\n\r\n"
    refused = {
        "chunk size of letters": b"zz" + rest,
        "chunk size with 0x": b"0x20" + rest,
        "plus chunk size": b"+20" + rest,
        "negative chunk size": b"-20" + rest,
        "chunk size with an underscore": b"2_0" + rest,
        "chunk size behind a space": b" 20" + rest,
        "chunk size, space after": b"20 " + rest,
        "empty chunk size": rest,
        "chunk size 2**64": b"10000000000000000" + rest,
        "chunk size, bare lf": b"20\n" + rest[2:],
        "chunk size, bare cr": b"20\r" + rest[2:],
        "chunk extension, bare lf": b"20;a\n" + rest[2:],
        "chunk extension, bare cr": b"20;a\rb" + rest,
        "chunk extension, nul": b"20;a\x00" + rest,
        "chunk longer than its size": b"1f" + rest,
        "chunk without its end": b"20\r\n" + BODY + b"0\r\n\r\n",
        "chunk with another end": b"20\r\n" + BODY + b"xx0\r\n\r\n",
        "chunk ended by lf": b"20\r\n" + BODY + b"\n0\r\n\r\n",
        "length in a trailer": b"20\r\n" + BODY + b"\r\n0\r\nContent-Length: 5\r\n\r\n",
        "coding in a trailer": b"20\r\n" + BODY + b"\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "trailer that is none": b"20\r\n" + BODY + b"\r\n0\r\nsmuggled\r\n\r\n",
    }
    fine = {
        "chunk extension": b"20;a=b" + rest,
        "trailer": b"20\r\n" + BODY + b"\r\n0\r\nX-Trailer: a\r\n\r\n",
        "chunk size, zeros before": b"00020" + rest,
    }
    return [
        *(Case(name, chunks(body), (400,)) for name, body in refused.items()),
        *(Case(n, chunks(b)[: -len(SMUGGLED)], (200,), True, 1) for n, b in fine.items()),
    ]


def _heads() -> list[Case]:
    refused = {
        "name with a space after": b"X-A : b",
        "name with a space": b"X A: b",
        "name with a parenthesis": b"X(A): b",
        "name with a nul": b"X\x00A: b",
        "name beyond ascii": "X-Ä: b".encode(),
        "no name": b": b",
        "no colon": b"X-A",
        "value with a nul": b"X-A: a\x00b",
        "value with a bare cr": b"X-A: a\rb",
        "value with an escape": b"X-A: a\x1b[2Jb",
        "value with del": b"X-A: a\x7fb",
        "folded": b"X-A: a\r\n b",
        "folded by a tab": b"X-A: a\r\n\tb",
        "second host": b"Host: other",
        "bare lf before a header": b"X-A: a\nX-B: b",
        "length smuggled behind a lf": b"X-A: a\nContent-Length: 5",
    }
    bare = b"\n".join((POST, HOST, AUTH, JSON, b"Content-Length: 32", b"", BODY))
    return [
        *(Case(name, sized(line) + SMUGGLED, (400,)) for name, line in refused.items()),
        Case("space before the first header", sized(host=b" Host: proxy") + SMUGGLED, (400,)),
        Case("lf for every line end", bare, (400,)),
        Case("empty lines before a request", b"\r\n\r\n" + sized(), (200,), True, 1),
        Case("latin-1 in a value", sized(b"X-A: caf\xe9"), (200,), True, 1),
        Case("hop-by-hop headers", sized(b"Connection: x-api-key, authorization"), (200,), True, 1),
        Case("connection: close", sized(b"Connection: close"), (200,), False, 1),
        Case("64 kib of headers", sized(*[b"X-A: " + b"a" * 8000] * 8) + SMUGGLED, (431,)),
        Case("65 headers", sized(*[b"X-%d: a" % n for n in range(65)]) + SMUGGLED, (431,)),
        Case("header of 9 kib", sized(b"X-A: " + b"a" * 9216) + SMUGGLED, (431,)),
    ]


def _hosts() -> list[Case]:
    refused = {
        "host with a path": b"Host: a/../@b",
        "host with a user": b"Host: user@proxy",
        "host with a query": b"Host: proxy?a",
        "host with a fragment": b"Host: proxy#a",
        "host with a backslash": b"Host: proxy\\@b",
        "host with a space": b"Host: a b",
        "host with a letter for a port": b"Host: proxy:80a",
        "host with two ports": b"Host: proxy:80:80",
        "host in open brackets": b"Host: [::1",
        "host beyond ascii": "Host: prüxy".encode(),
        "list of hosts": b"Host: a, b/c",
        "no host": b"",
    }
    return [
        *(Case(name, sized(host=host) + SMUGGLED, (400,)) for name, host in refused.items()),
        Case("host in brackets", sized(host=b"Host: [::1]:9000"), (200,), True, 1),
    ]


def _first_lines() -> list[Case]:
    methods = {"CONNECT": b"CONNECT evil:443 HTTP/1.1", "OPTIONS *": b"OPTIONS * HTTP/1.1"}
    refused = {
        "GET *": b"GET * HTTP/1.1",
        "address of another host": b"GET http://169.254.169.254/v1/models HTTP/1.1",
        "address of this host": b"GET http://proxy/v1/models HTTP/1.1",
        "https address": b"GET https://proxy/v1/models HTTP/1.1",
        "authority only": b"GET proxy:443 HTTP/1.1",
        "no slash": b"GET v1/models HTTP/1.1",
        "unknown method": b"FOO /v1/models HTTP/1.1",
        "lower-case method": b"get /v1/models HTTP/1.1",
        "method with a space before": b" GET /v1/models HTTP/1.1",
        "lower-case version": b"GET /v1/models http/1.1",
        "version 1": b"GET /v1/models HTTP/1",
        "version 1.2": b"GET /v1/models HTTP/1.2",
        "version 11": b"GET /v1/models HTTP/11.1",
        "two versions": b"GET /v1/models HTTP/1.1 HTTP/1.1",
        "tabs for spaces": b"GET\t/v1/models\tHTTP/1.1",
        "nul in the address": b"GET /v1/models\x00 HTTP/1.1",
        "raw utf-8 in the address": "GET /v1/modèles HTTP/1.1".encode(),
    }
    simple = [(name, sized(line=line), (400,)) for name, line in refused.items()]
    return [
        *(Case(name, payload + SMUGGLED, answers) for name, payload, answers in simple),
        *(Case(name, request(line=line) + SMUGGLED, (405,)) for name, line in methods.items()),
        Case("http/2.0", sized(line=b"POST /v1/chat/completions HTTP/2.0"), (505,)),
        Case("http/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED, (400,)),
        Case("http/0.9", b"GET /v1/models\r\n\r\n", (400,)),
        Case("http/0.9 with headers", b"GET /health\r\nHost: proxy\r\n\r\n", (400,)),
        Case("tls hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 200, (400,)),
        Case("garbage", b"\x00\xff" * 100 + b"\r\n\r\n", (400,)),
        Case("socks", b"\x05\x01\x00" + b"\r\n\r\n", (400,)),
        Case("ssh", b"SSH-2.0-OpenSSH_9.2\r\n", (400,)),
        Case("smtp", b"EHLO example.com\r\n\r\n", (400,)),
        Case("address of 9 kib", target(b"/" + b"a" * 9216) + SMUGGLED, (431,)),
        Case("trace", target(b"/v1/models", method=b"TRACE"), (405,), True),
        Case("http/1.0", b"GET /health HTTP/1.0\r\n\r\n", (200,)),
        Case(
            "http/1.0 kept", b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", (200,), True
        ),
    ]


def _paths() -> list[Case]:
    paths = {
        "dots": b"/v1/../admin",
        "dots to a real address": b"/v1/x/../models",
        "one dot": b"/v1/./models",
        "coded dots": b"/v1/%2e%2e/models",
        "coded slash": b"/v1%2fmodels",
        "dots and a coded slash": b"/v1/..%2fmodels",
        "coded percent": b"/v1/%252e%252e/models",
        "dots and a semicolon": b"/v1/..;/models",
        "parameter": b"/v1/models;a=b",
        "backslash": b"/v1\\models",
        "coded nul": b"/v1/models%00",
        "fragment": b"/v1/models#a",
        "coded line end": b"/v1/models%0d%0aX-A:b",
        "coded letter": b"/v1/%6dodels",
        "full-width letter": b"/v1/%ef%bd%8dodels",
        "overlong dot": b"/v1/%c0%ae%c0%ae/models",
        "unknown": b"/v1/nowhere",
        "admin": b"/admin",
        "file": b"/.env",
        "model with dots": b"/v1/models/..",
        "model with a coded backslash": b"/v1/models/..%5c..%5cetc",
    }
    return [
        *(Case(f"path: {name}", target(path), (404,), True) for name, path in paths.items()),
        *(
            Case(f"path, no key: {name}", target(path, auth=False), (401,), True)
            for name, path in paths.items()
        ),
        Case("path: double slashes", target(b"//v1//models/"), (200,), True),
    ]


def _exchanges() -> list[Case]:
    wrong_key = sized().replace(KEY.encode(), b"wrong")
    upgrade = b"GET /health HTTP/1.1\r\nHost: proxy\r\nConnection: Upgrade\r\nUpgrade: "
    socket = b"websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    h2c = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    get = target(b"/health")[:-2]
    expect = b"Expect: 100-continue"
    large = b"Content-Length: 999999999999"
    head = request(expect, b"Content-Length: 32")
    elsewhere = head.replace(b"/chat/comp", b"/chat/camp")
    return [
        Case("two at once", sized() + sized(), (200, 200), True, 2),
        Case("two at once, the second's key is wrong", sized() + wrong_key, (200, 401), False, 1),
        Case("two at once, the first's key is wrong", wrong_key + sized(), (401,)),
        # What comes in one piece is judged as one.
        Case("a good one, then garbage", sized() + b"\x00\x01\x02\r\n\r\n", (400,)),
        Case("a good one, then bad framing", sized() + length(b" +1"), (400,)),
        Case("get with a body", get + b"Content-Length: 3\r\n\r\nabc", (200,), True),
        Case("upgrade to h2c", upgrade + b"h2c\r\n\r\n", (200,), True),
        Case("upgrade to h2c, with a body", sized(*h2c), (200,), True, 1),
        Case("upgrade to a web socket", upgrade + socket + HEALTH, (200, 200), True),
        Case("length too large, no body", request(large), (413,), lingers=True),
        Case("expect, key wrong", head.replace(KEY.encode(), b"wrong"), (401,), lingers=True),
        Case("expect, length too large", request(expect, large), (413,), lingers=True),
        Case("expect, no such address", elsewhere, (404,), lingers=True),
        Case("expect, all well", head + BODY, (100, 200), True, 1),
        Case("expect in capitals", head.replace(b"100-c", b"100-C") + BODY, (100, 200), True, 1),
        Case("expect something else", sized(b"Expect: 200-ok") + SMUGGLED, (417,)),
        Case("gzip that is none", sized(b"Content-Encoding: gzip"), (400,), True),
        Case("unknown encoding", sized(b"Content-Encoding: br"), (415,), True),
    ]


CASES: Final = (
    *_lengths(),
    *_codings(),
    *_chunks(),
    *_heads(),
    *_hosts(),
    *_first_lines(),
    *_paths(),
    *_exchanges(),
)
