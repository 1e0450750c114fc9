"""What does the body of an answer say once unpacked? Unpacks while it arrives, and never further than the cap.

Knows gzip, deflate and identity. Knows nothing of where the bytes come from or what they mean.
"""

from __future__ import annotations

import zlib

from gateway.sources.bounds import malformed

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_ENCODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


class Body:
    """One body under way. `encoding` is the Content-Encoding, lower case; `cap` in unpacked bytes.

    Raises Fault (malformed) for an encoding not known, damage, or a body that unpacks to more than the cap.
    """

    __slots__ = ("_cap", "_encoding", "_plain", "_unpacker")

    def __init__(self, encoding: str, cap: int) -> None:
        if encoding not in _ENCODINGS:
            raise malformed("content encoding not known")
        self._encoding = _ENCODINGS[encoding]
        self._cap = cap
        self._plain = bytearray()
        self._unpacker: zlib._Decompress | None = None

    def feed(self, data: bytes) -> None:
        """Take the next piece as it travelled."""
        self._plain += self._unpack(data) if self._encoding else data
        if len(self._plain) > self._cap:
            raise malformed("body unpacks beyond the cap")

    def finish(self) -> bytes:
        """The whole body, after the last piece."""
        if self._encoding and (self._unpacker is None or not self._unpacker.eof):
            raise malformed("compressed body is truncated")
        return bytes(self._plain)

    def _unpack(self, data: bytes) -> bytes:
        if self._unpacker is None:
            self._unpacker = zlib.decompressobj(self._window(data))
        # One byte more than allowed: enough to notice, without ever holding what lies behind it.
        room = self._cap - len(self._plain) + 1
        try:
            plain = self._unpacker.decompress(data, room)
        except zlib.error:
            raise malformed("compressed body is damaged") from None
        if self._unpacker.unused_data:
            raise malformed("bytes after the compressed body")
        return plain

    def _window(self, data: bytes) -> int:
        """Deflate should be zlib-wrapped (RFC 9110 section 8.4.1.2), but many senders leave the wrapper out."""
        if self._encoding == "gzip":
            return _GZIP
        return _ZLIB if data[0] & 0x0F == zlib.DEFLATED else _RAW
