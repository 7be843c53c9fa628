"""The server's certificate: which files will do, and what is said about the others."""

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.runtime.tls import load_certificate, tls_context

AUTHORITY = trustme.CA()


def settings(folder: Path, certificate: bytes | None = None, key: bytes | None = None) -> Settings:
    """Return settings for files in *folder*; what is not given is good."""
    issued = AUTHORITY.issue_cert("localhost")
    files = {
        "cert.pem": certificate or issued.cert_chain_pems[0].bytes(),
        "key.pem": key or issued.private_key_pem.bytes(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return Settings(tls_cert_file=str(folder / "cert.pem"), tls_key_file=str(folder / "key.pem"))


def test_without_a_certificate_there_is_no_tls() -> None:
    assert tls_context(Settings()) is None


def test_a_certificate_makes_a_context_for_tls_1_2_and_newer(tmp_path: Path) -> None:
    context = tls_context(settings(tmp_path))

    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE  # clients have keys, not certificates


def _other_key() -> bytes:
    return AUTHORITY.issue_cert("other").private_key_pem.bytes()


def _encrypted_key() -> bytes:
    return load_pem_private_key(_other_key(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"canary"),
    )


BROKEN = {
    "certificate that is none": (b"canary", None),
    "empty certificate": (b"\n", None),
    "key that is none": (None, b"canary"),
    "another's key": (None, _other_key()),
    "key with a password": (None, _encrypted_key()),
    "key in place of the certificate": (_other_key(), None),
}


@pytest.mark.parametrize("case", BROKEN)
def test_files_that_will_not_do_are_one_problem_without_their_content(
    case: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        tls_context(settings(tmp_path, *BROKEN[case]))
    (problem,) = caught.value.problems

    assert problem.startswith("TLS_CERT_FILE: must be a certificate with its chain")
    assert "canary" not in problem
    assert str(tmp_path) not in problem


def test_a_file_that_is_gone_is_a_problem_too(tmp_path: Path) -> None:
    given = settings(tmp_path)
    (tmp_path / "key.pem").unlink()

    with pytest.raises(SettingsError):
        tls_context(given)


def test_a_context_takes_another_certificate(tmp_path: Path) -> None:
    context = tls_context(settings(tmp_path))
    assert context is not None

    load_certificate(context, settings(tmp_path))
