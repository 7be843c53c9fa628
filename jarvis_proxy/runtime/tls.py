"""The server's own certificate: read, and read again. IO."""

import ssl

from jarvis_proxy.config.settings import Settings, SettingsError


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context for the certificate of the settings, None without one.

    Raises:
        SettingsError: the files do not hold a certificate and its key.
    """
    if not settings.tls_cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, settings)
    return context


def load_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    """Use the certificate of the settings in *context*, for handshakes to come.

    Raises:
        SettingsError: the files do not hold a certificate and its key; *context* may be spoilt.
    """
    try:
        # Without an answer to give, OpenSSL would ask the terminal for an encrypted key's password.
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file, password="")
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise SettingsError(
            (
                "TLS_CERT_FILE: must be a certificate with its chain, and TLS_KEY_FILE its private"
                " key without a password, both in PEM.",
            )
        ) from None
