"""How does a connection look that never leaves the process? Two transports, each the other's far end.

Bytes arrive in order and in a later turn of the loop; a reset, an end of stream and a reader who does not read look as
they do over TLS. Each end shows the certificate the other holds. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from dataclasses import dataclass
from typing import Any

_AT_ONCE = 256 * 1024
"""Bytes that arrive in one piece, as asyncio's TLS hands them over."""
_HIGH_WATER = 64 * 1024
_NOWHERE = ("127.0.0.1", 1)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What TLS would tell of the far end."""

    certificate: bytes

    def getpeercert(self, binary_form: bool = False) -> bytes:
        return self.certificate


class _Plug:
    """What stands for the socket: whether something lies unread, and how a cut connection is to look."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._pipe: tuple[int, int] | None = None
        self.lingers = True

    def setsockopt(self, level: int, name: int, value: object) -> None:
        """A linger time of zero turns a cut into a reset."""
        if (level, name) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self.lingers = False

    def getpeername(self) -> tuple[str, int]:
        return _NOWHERE

    getsockname = getpeername

    def fileno(self) -> int:
        """A descriptor that is readable exactly if something lies unread at this moment."""
        self.close()
        self._pipe = os.pipe()
        if self._end.unread:
            os.write(self._pipe[1], b"!")
        return self._pipe[0]

    def close(self) -> None:
        for descriptor in self._pipe or ():
            os.close(descriptor)
        self._pipe = None


class End(asyncio.Transport):
    """One end. `join` makes a pair."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, certificate: bytes) -> None:
        self._plug = _Plug(self)
        super().__init__({"ssl_object": _Shown(certificate), "socket": self._plug, "sslcontext": True})
        self._loop, self._protocol = loop, protocol
        self._far: End | None = None
        self._arrived: deque[bytes] = deque()
        self._paused = self._closing = self._lost = self._ended = self._telling = self._stalled = False

    # --- called by whoever holds this end ----------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._closing or self._far is None or not data:
            return
        whole = bytes(data)
        for start in range(0, len(whole), _AT_ONCE):
            self._far._arrived.append(whole[start : start + _AT_ONCE])
        self._far._tell()
        if not self._stalled and self.get_write_buffer_size() > _HIGH_WATER:
            self._stalled = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._far._arrived)) if self._far is not None else 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The limits are what they are."""

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._far is not None:
            self._far._ended = True
            self._far._tell()
        self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        far, self._closing = self._far, True
        if far is not None and not self._plug.lingers:
            far._arrived.clear()
            far._closing = True
            self._loop.call_soon(far._lose, ConnectionResetError("the connection was reset"))
        elif far is not None:
            far._ended = True
            far._tell()
        self._loop.call_soon(self._lose, None)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._tell()

    def is_reading(self) -> bool:
        return not self._paused

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.Protocol:
        return self._protocol

    @property
    def unread(self) -> bool:
        return bool(self._arrived) or self._ended

    # --- arriving ----------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        if not self._telling:
            self._telling = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._telling = False
        if self._paused or self._lost or self._closing:
            return
        if self._arrived:
            self._protocol.data_received(self._arrived.popleft())
            self._relieve()
        if self._arrived:
            self._tell()
        elif self._ended and not self._closing:
            self._protocol.eof_received()
            self._closing = True
            self._loop.call_soon(self._lose, None)

    def _relieve(self) -> None:
        far = self._far
        if far is not None and far._stalled and not self._arrived:
            far._stalled = False
            far._protocol.resume_writing()

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost, self._far = True, None
        self._plug.close()
        self._protocol.connection_lost(error)


def join(
    loop: asyncio.AbstractEventLoop, near: tuple[asyncio.Protocol, bytes], far: tuple[asyncio.Protocol, bytes]
) -> tuple[End, End]:
    """Connect two protocols; each comes with the certificate (DER) it shows. Both learn of it at once."""
    ends = End(loop, near[0], far[1]), End(loop, far[0], near[1])
    ends[0]._far, ends[1]._far = ends[1], ends[0]
    far[0].connection_made(ends[1])
    near[0].connection_made(ends[0])
    return ends
