"""With whom does the exchange listener shake hands? TLS 1.2 or better, a certificate of our authority, no resuming.

Knows certificate files and OpenSSL's ways. Knows nothing of HTTP, organisations or revocation.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only; TLS 1.3 has nothing else."""

_OPTIONS = (
    ssl.OP_NO_TICKET
    | ssl.OP_NO_RENEGOTIATION
    | ssl.OP_NO_COMPRESSION
    | ssl.OP_CIPHER_SERVER_PREFERENCE
    | ssl.OP_SINGLE_ECDH_USE
)


class ExchangeContext(ssl.SSLContext):
    """The listener's TLS settings, from PEM files that may be replaced while it runs.

    A resumed session would skip the verification of the client's certificate. Tickets are switched off; but OpenSSL
    also keeps TLS 1.2 sessions by their id in each context, and Python cannot switch that off. So every connection gets
    a context of its own, and with it an empty session cache; as soon as its hello has come it borrows certificate, key
    and authorities from the one that holds them.
    """

    def __new__(cls, certificate: Path, key: Path, ca: Path) -> ExchangeContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, certificate: Path, key: Path, ca: Path) -> None:
        """Raises OSError or ssl.SSLError (an OSError too) for files that do not serve."""
        self._certificate, self._key, self._ca = certificate, key, ca
        self._seen = self._identity()
        self._loaded = self._load()

    def reload(self) -> bool:
        """Use the files as they are now if one changed, for connections to come; tells whether it did so.

        Raises OSError or ssl.SSLError for files that do not serve, for instance a key that is not the certificate's
        yet: then the old ones stay in use, and the next call tries again.
        """
        identity = self._identity()
        if identity == self._seen:
            return False
        self._loaded = self._load()
        self._seen = identity
        return True

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Called by the event loop for every connection."""
        if not server_side:
            raise ValueError("this context only answers")
        return _single_use(self._loaded).wrap_bio(incoming, outgoing, server_side=True)

    def _identity(self) -> tuple[tuple[int, int, int], ...]:
        stats = [os.stat(path) for path in (self._certificate, self._key, self._ca)]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _load(self) -> ssl.SSLContext:
        context = _demanding()
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._certificate, self._key)
        context.load_verify_locations(self._ca)
        # A hello that has to be repeated is looked at twice, and the second time this context is asked, not the one
        # it was borrowed into, which may be gone by then.
        context.sni_callback = _stay
        return context


def _demanding() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= _OPTIONS
    context.num_tickets = 0
    return context


def _single_use(loaded: ssl.SSLContext) -> ssl.SSLContext:
    def borrow(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = loaded

    context = _demanding()
    context.sni_callback = borrow
    return context


def _stay(_connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
    return None
