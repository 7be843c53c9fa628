"""Reading just enough of X.509: how long a certificate is valid, and who signed it. Pure.

The standard library tells a certificate's dates only after a handshake that trusted it, which a
certificate that has run out never gets. Source: RFC 5280, 4.1 (DER: ITU-T X.690).
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_PEM: Final = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----\s(.*?)-----END", re.DOTALL
)
_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_FORMATS: Final = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}
"""The two forms of a time that RFC 5280 allows."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate; times in epoch seconds, names as their DER bytes."""

    not_before: float
    not_after: float
    issuer: bytes
    subject: bytes

    @property
    def is_self_signed(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.issuer == self.subject


def parse_pem(data: bytes) -> list[Certificate]:
    """Return the certificates in a PEM file, in its order.

    Raises:
        ValueError: it holds none, or one that cannot be read.
    """
    found = [parse_der(_decoded(match[1])) for match in _PEM.finditer(data)]
    if not found:
        raise ValueError("no certificate")
    return found


def parse_der(data: bytes) -> Certificate:
    """Return one certificate from its DER bytes.

    Raises:
        ValueError: these are no certificate.
    """
    certificate, _ = _element(data, _SEQUENCE)
    rest, _ = _element(certificate, _SEQUENCE)
    if rest[:1] == bytes([_VERSION]):
        _, rest = _element(rest, _VERSION)
    _, rest = _element(rest, _INTEGER)  # serial number
    _, rest = _element(rest, _SEQUENCE)  # signature algorithm
    issuer, rest = _element(rest, _SEQUENCE)
    validity, rest = _element(rest, _SEQUENCE)
    subject, _ = _element(rest, _SEQUENCE)
    not_before, validity = _time(validity)
    not_after, _ = _time(validity)
    return Certificate(not_before, not_after, issuer, subject)


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error as exc:
        raise ValueError("damaged base64") from exc


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the element that *data* starts with, and what follows it."""
    found, content, rest = _any_element(data)
    if found != tag:
        raise ValueError(f"tag {found:#04x} where {tag:#04x} belongs")
    return content, rest


def _any_element(data: bytes) -> tuple[int, bytes, bytes]:
    if len(data) < 2:
        raise ValueError("ends too early")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start > len(data) or length > len(data) - start:
        raise ValueError("ends too early")
    return data[0], data[start : start + length], data[start + length :]


def _time(data: bytes) -> tuple[float, bytes]:
    tag, content, rest = _any_element(data)
    if tag not in _FORMATS:
        raise ValueError(f"tag {tag:#04x} where a time belongs")
    moment = datetime.strptime(content.decode("ascii", "replace"), _FORMATS[tag])
    # strptime puts the years 69 to 99 into the last century; RFC 5280 draws the line at 50.
    if tag == _UTC_TIME and moment.year >= 2050:
        moment = moment.replace(year=moment.year - 100)
    return moment.replace(tzinfo=UTC).timestamp(), rest
