"""Dates of certificates, without trusting them."""

import base64
from datetime import UTC, datetime

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.doctor.net.certificates import parse_der, parse_pem

CA = trustme.CA()
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def issue(not_after: datetime, not_before: datetime = START) -> trustme.LeafCert:
    return CA.issue_cert("my.host", not_after=not_after, not_before=not_before)


def pem_of(leaf: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


def der_of(leaf: trustme.LeafCert) -> bytes:
    return x509.load_pem_x509_certificate(pem_of(leaf)).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "end",
    [
        datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC),
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
    ids=["UTCTime", "last UTCTime", "first GeneralizedTime", "no end"],
)
def test_the_dates_are_read_in_both_forms(end: datetime) -> None:
    (found,) = parse_pem(pem_of(issue(end)))

    assert (START.timestamp(), end.timestamp()) == (found.not_before, found.not_after)


def test_a_year_above_49_in_two_digits_is_of_the_last_century() -> None:
    start = datetime(1950, 1, 1, tzinfo=UTC)

    (found,) = parse_pem(pem_of(issue(datetime(2030, 1, 1, tzinfo=UTC), start)))

    assert start.timestamp() == found.not_before


def test_a_chain_is_read_in_its_order() -> None:
    leaf = issue(datetime(2030, 1, 1, tzinfo=UTC))

    first, second = parse_pem(b"text before\n" + pem_of(leaf) + b"\n" + CA.cert_pem.bytes())

    assert first.issuer == second.subject
    assert (first.is_self_signed, second.is_self_signed) == (False, True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no PEM at all",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
    ids=["empty", "text", "a key", "no base64", "cut base64", "no DER"],
)
def test_what_is_no_certificate_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_pem(data)


def test_a_time_of_another_type_is_an_error() -> None:
    data = der_of(issue(datetime(2030, 1, 1, tzinfo=UTC)))
    marked = data.replace(b"\x17\x0d260102030405Z", b"\x16\x0d260102030405Z")

    assert marked != data
    with pytest.raises(ValueError, match="where a time belongs"):
        parse_der(marked)


@pytest.mark.parametrize(
    "length", [b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x82\x01", b"\x30\xff"]
)
def test_a_length_beyond_the_end_is_an_error(length: bytes) -> None:
    with pytest.raises(ValueError, match="ends too early"):
        parse_der(length)


def test_an_old_certificate_without_a_version_is_read() -> None:
    data = der_of(issue(datetime(2030, 1, 1, tzinfo=UTC)))
    version = b"\xa0\x03\x02\x01\x02"
    at = data.index(version)
    # One element fewer: the two lengths around it shrink by its five bytes.
    outer = int.from_bytes(data[2:4], "big") - 5
    inner = int.from_bytes(data[6:8], "big") - 5
    shorter = b"".join(
        (
            data[:2],
            outer.to_bytes(2, "big"),
            data[4:6],
            inner.to_bytes(2, "big"),
            data[8:at],
            data[at + 5 :],
        )
    )

    assert parse_der(data) == parse_der(shorter)


@given(st.binary(max_size=80))
def test_any_bytes_give_a_certificate_or_a_value_error(data: bytes) -> None:
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(data) + b"\n-----END CERTIFICATE-----"

    with pytest.raises(ValueError, match=r"."):
        parse_pem(pem)


@given(st.data())
def test_a_damaged_certificate_gives_a_certificate_or_a_value_error(data: st.DataObject) -> None:
    good = _GOOD
    at = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]
    try:
        found = parse_der(damaged)
    except ValueError:
        return

    assert isinstance(found.not_after, float)


_GOOD = der_of(issue(datetime(2030, 1, 1, tzinfo=UTC)))
