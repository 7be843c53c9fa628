"""From OpenSSL's words to what somebody can do."""

import ssl

import pytest

from jarvis_proxy.doctor.net.tls_errors import (
    TlsError,
    classify_tls_error,
    own_site_advice,
    upstream_advice,
)

KINDS = ("expired", "future", "issuer", "name", "plain", "silent", "cut", "other")


def refused(code: int, message: str = "why") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def failed(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "failed")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused(10), "expired"),
        (refused(9), "future"),
        (refused(18), "issuer"),
        (refused(20), "issuer"),
        (refused(62), "name"),
        (refused(64), "name"),
        (refused(66), "other"),
        (failed("WRONG_VERSION_NUMBER"), "plain"),
        (failed("TLSV1_ALERT_PROTOCOL_VERSION"), "other"),
        (ssl.SSLError(1, "no reason"), "cut"),
        (ConnectionResetError(), "cut"),
        (TimeoutError(), "silent"),
    ],
)
def test_each_fault_is_told_from_the_others(error: OSError, kind: str) -> None:
    assert kind == classify_tls_error(error).kind


def test_an_unusual_refusal_is_told_in_openssl_s_words() -> None:
    assert "refused: EE key too small" in classify_tls_error(refused(66, "EE key too small")).detail
    assert (
        "tlsv1_alert_protocol_version"
        in classify_tls_error(failed("TLSV1_ALERT_PROTOCOL_VERSION")).detail
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_has_advice_for_both_sides(kind: str) -> None:
    fault = TlsError(kind, "")

    assert upstream_advice(fault).endswith((".", "?", "true"))
    assert own_site_advice(fault).endswith((".", "?"))


def test_the_owner_of_a_site_is_told_other_things_than_the_user_of_an_upstream() -> None:
    fault = TlsError("issuer", "")

    assert "fullchain.pem" in own_site_advice(fault)
    assert "ca-certificates" in upstream_advice(fault)
