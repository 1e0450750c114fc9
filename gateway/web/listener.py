"""Where do machines reach the exchange? One listening socket with mutual TLS, shared by workers, that stops in time.

Knows sockets, the server's life and its certificate files. What a connection may do is protocol.py's, with whom it
shakes hands tls.py's; the app behind it is anybody's. Source: interface.md section 2, promises.md sections 2 and 3.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from gateway.web.protocol import CERTIFICATE, ExchangeProtocol, Limits, WriteError, operation_outcome
from gateway.web.tls import ExchangeContext

__all__ = ["CERTIFICATE", "ExchangeServer", "Limits", "bind", "make_server"]

_BACKLOG = 2048


def bind(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A bound, inheritable socket; port 0 takes a free one. Raises OSError.

    Bind once and let every worker inherit it: then a connection waits for any worker, and none is lost when one stops.
    With `reuse_port` workers started apart may each bind the same port; what waits at one that stops is lost.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    bound.set_inheritable(True)
    return bound


class ExchangeServer(uvicorn.Server):
    """A uvicorn server for the exchange: `run()` or `await serve()`, stop by signal or `should_exit = True`."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        context: ExchangeContext,
        listening: socket.socket,
        limits: Limits,
        write_error: WriteError,
    ) -> None:
        super().__init__(config)
        self._context = context
        self._listening = listening
        self._limits = limits
        self._write_error = write_error
        self._let_in = 0.0

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listening.getsockname()[1])

    def reload(self) -> bool:
        """Take certificate, key and authorities from their files again if one changed; connections that stand keep
        theirs. Raises OSError for files that do not serve; then the old ones stay."""
        return self._context.reload()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then listen; unlike uvicorn's own this bounds the TLS handshake and farewell."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(uvicorn.config.STARTUP_FAILURE)
        server = await asyncio.get_running_loop().create_server(
            self._connection,
            sock=self._listening,
            ssl=self._context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=self._limits.handshake_s,
            ssl_shutdown_timeout=self._limits.write_s,
        )
        self.servers = [server]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is under way, at most `shutdown_s`; then cut whoever is still connected."""
        for server in self.servers:
            server.close()
        # who was let in a moment ago may still be shaking hands, and is not counted among the connections yet
        await asyncio.sleep(max(0.0, self._let_in + self._limits.leave_s - asyncio.get_running_loop().time()))
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def _connection(self) -> ExchangeProtocol:
        self._let_in = asyncio.get_running_loop().time()
        return ExchangeProtocol(
            ending=lambda: self.should_exit,
            limits=self._limits,
            write_error=self._write_error,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )


def make_server(
    app: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 8443,
    sock: socket.socket | None = None,
    certificate: Path,
    key: Path,
    ca: Path,
    limits: Limits | None = None,
    write_error: WriteError = operation_outcome,
) -> ExchangeServer:
    """The exchange listener for an ASGI app, bound at once: to `sock` (from `bind`, inherited) or to host and port.

    Every request's scope carries the client's certificate under `extensions`, key CERTIFICATE. `certificate` holds leaf
    and chain, `ca` the authorities up to a root, all PEM. Raises OSError for files or an address that do not serve.
    """
    limits = limits or Limits()
    context = ExchangeContext(certificate, key, ca)
    config = uvicorn.Config(
        app,
        http=ExchangeProtocol,
        ws="none",
        loop="uvloop",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=limits.idle_s,
        timeout_graceful_shutdown=limits.shutdown_s,
        ssl_context_factory=lambda config, default: context,
    )
    listening = sock if sock is not None else bind(host, port)
    return ExchangeServer(config, context=context, listening=listening, limits=limits, write_error=write_error)
