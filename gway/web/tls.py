"""TLS as OCPP's security profiles 2 and 3 ask for it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from gevent.ssl import SSLContext

# SEC A00.FR.317 names the suites of the second and third line for TLS 1.2; the first is what
# browsers speak to an RSA certificate. TLS 1.3 brings its own.
SUITES = (
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "AES128-GCM-SHA256:AES256-GCM-SHA384"
)


def server_context(certificates: Sequence[tuple[str, str]]) -> SSLContext:
    """Make a server's context, TLS 1.2 at least.

    :param certificates: (certificate chain, key) files; one RSA and one ECDSA pair may be given
    """
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(SUITES)
    for certificate, key in certificates:
        context.load_cert_chain(certificate, key)
    return context
