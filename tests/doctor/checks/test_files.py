"""The files on disk: .env, certificate and key, in every state that was seen in the field."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.doctor.checks.files import env_file, tls_files

CA = trustme.CA()
NOW = datetime(2026, 11, 23, tzinfo=UTC)
YEAR = timedelta(days=365)


def leaf(start: datetime = NOW - YEAR, end: datetime = NOW + YEAR) -> trustme.LeafCert:
    return CA.issue_cert("my.host", not_before=start, not_after=end)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def settings(folder: Path, certificate: bytes, key: bytes, mode: int = 0o600) -> Settings:
    (folder / "server.pem").write_bytes(certificate)
    (folder / "server.key").write_bytes(key)
    (folder / "server.key").chmod(mode)
    return Settings(
        tls_cert_file=str(folder / "server.pem"), tls_key_file=str(folder / "server.key")
    )


def whole(issued: trustme.LeafCert) -> bytes:
    return issued.cert_chain_pems[0].bytes() + CA.cert_pem.bytes()


def evaluated(prepared: Settings) -> list[tuple[str, str]]:
    return [(str(f.status), f.detail) for f in tls_files(prepared, NOW.timestamp())]


def test_env_file_that_only_its_owner_reads_is_ok(folder: Path) -> None:
    path = folder / ".env"
    path.write_text("PORT=1\n")
    path.chmod(0o600)
    (found,) = env_file(path)

    assert (found.check, found.status) == (".env file", "ok")


def test_env_file_that_others_read_or_with_odd_names_is_a_warning(folder: Path) -> None:
    path = folder / ".env"
    path.write_text("PROXY_API_KEY=canary\n")
    path.chmod(0o644)
    found = env_file(path)

    assert [finding.status for finding in found] == ["warning", "warning"]
    assert "chmod 600" in found[0].detail
    assert "is PROXY_API_KEYS meant?" in found[1].detail
    assert "canary" not in str(found)


def test_missing_env_file_is_skipped(folder: Path) -> None:
    (found,) = env_file(folder / ".env")

    assert found.status == "skipped"


def test_without_tls_the_check_is_skipped() -> None:
    (found,) = tls_files(Settings(), 0)

    assert found.status == "skipped"


def test_certificate_with_chain_and_key_is_ok(folder: Path) -> None:
    issued = leaf()

    assert evaluated(settings(folder, whole(issued), issued.private_key_pem.bytes())) == [
        ("ok", "certificate and key fit, valid until 2027-11-23")
    ]


@pytest.mark.parametrize(
    ("start", "end", "status", "words"),
    [
        (NOW - YEAR, NOW - timedelta(days=2), "problem", "the certificate expired on 2026-11-21"),
        (NOW + timedelta(days=1), NOW + YEAR, "problem", "is not valid before 2026-11-24"),
        (NOW - YEAR, NOW + timedelta(days=5), "warning", "the certificate ends in 5 days"),
    ],
)
def test_finding_depends_on_the_certificate_dates(
    folder: Path, start: datetime, end: datetime, status: str, words: str
) -> None:
    issued = leaf(start, end)
    ((found, detail),) = evaluated(settings(folder, whole(issued), issued.private_key_pem.bytes()))

    assert found == status
    assert words in detail


def test_certificate_without_chain_is_a_warning(folder: Path) -> None:
    issued = leaf()
    prepared = settings(folder, issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes())
    ((status, detail),) = evaluated(prepared)

    assert (status, detail[:33]) == ("warning", "the file holds one certificate on")


def test_self_signed_certificate_is_a_warning(folder: Path) -> None:
    prepared = settings(folder, CA.cert_pem.bytes(), CA.private_key_pem.bytes())
    ((status, detail),) = evaluated(prepared)

    assert status == "warning"
    assert detail.startswith("the certificate is self-signed (valid until ")


def test_key_of_another_certificate_is_a_problem(folder: Path) -> None:
    prepared = settings(folder, whole(leaf()), leaf().private_key_pem.bytes())

    assert evaluated(prepared) == [
        ("problem", "the private key does not belong to the certificate")
    ]


def test_encrypted_key_is_a_problem_without_a_prompt(folder: Path) -> None:
    issued = leaf()
    clear = load_pem_private_key(issued.private_key_pem.bytes(), password=None)
    encrypted = clear.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary")
    )
    prepared = settings(folder, whole(issued), encrypted)
    (found,) = tls_files(prepared, NOW.timestamp())

    assert found.status == "problem"
    assert "is encrypted" in found.detail
    assert "openssl pkey" in found.example


@pytest.mark.parametrize("certificate", [b"", b"no PEM", leaf().private_key_pem.bytes()])
def test_files_that_are_not_pem_are_a_problem(folder: Path, certificate: bytes) -> None:
    prepared = settings(folder, certificate, leaf().private_key_pem.bytes())
    ((status, detail),) = evaluated(prepared)

    assert (status, detail) == ("problem", "OpenSSL cannot read the certificate or its key")


@pytest.mark.skipif(os.name != "posix", reason="mode bits mean nothing here")
def test_world_readable_key_is_a_warning(folder: Path) -> None:
    issued = leaf()
    prepared = settings(folder, whole(issued), issued.private_key_pem.bytes(), mode=0o644)
    found = tls_files(prepared, NOW.timestamp())

    assert [finding.status for finding in found] == ["ok", "warning"]
    assert found[1].example.startswith("chmod o-rwx ")


def test_missing_files_are_a_problem(folder: Path) -> None:
    gone = Settings(tls_cert_file=str(folder / "c"), tls_key_file=str(folder / "k"))

    assert evaluated(gone) == [("problem", "OpenSSL cannot read the certificate or its key")]


@pytest.mark.parametrize(
    "end",
    [
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
    ids=["last UTCTime", "first GeneralizedTime", "no end"],
)
def test_dates_are_read_in_both_forms(folder: Path, end: datetime) -> None:
    issued = leaf(datetime(1950, 1, 1, tzinfo=UTC), end)
    ((_, detail),) = evaluated(settings(folder, whole(issued), issued.private_key_pem.bytes()))

    assert detail == f"certificate and key fit, valid until {end.date()}"


def test_expired_certificate_takes_precedence_over_an_incomplete_chain(
    folder: Path,
) -> None:
    issued = leaf(NOW - YEAR, NOW - timedelta(days=1))
    prepared = settings(folder, issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes())

    assert evaluated(prepared) == [("problem", "the certificate expired on 2026-11-22")]


def test_certificate_and_key_in_one_file_are_read(folder: Path) -> None:
    issued = leaf()
    both = issued.private_key_pem.bytes() + whole(issued)
    (folder / "server.pem").write_bytes(both)
    (folder / "server.pem").chmod(0o600)
    path = str(folder / "server.pem")

    assert evaluated(Settings(tls_cert_file=path, tls_key_file=path)) == [
        ("ok", "certificate and key fit, valid until 2027-11-23")
    ]


def test_certificate_not_for_servers_is_a_problem(folder: Path) -> None:
    """A client's certificate loads like any other, but no client accepts it from a server."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "my.host")])
    client = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - YEAR)
        .not_valid_after(NOW + YEAR)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ((status, detail),) = evaluated(settings(folder, client.public_bytes(Encoding.PEM), pem))

    assert status == "problem"
    assert detail.startswith("clients will refuse the certificate: unsuitable certificate purpose")
