"""How does a system of the country call an exchange in its own process? The real client, with a way in by memory.

The certificate is put where the listener puts it. Ids come from the country's seed, so that the same story gives the
same journal. Knows httpx and ASGI; knows nothing of what is asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import KW_ONLY, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from joserfc.jwk import ECKey

from gateway.web.protocol import CERTIFICATE
from source_sim.requesters import Pairs, Reply, System

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


@lru_cache(maxsize=256)
def _key(path: Path) -> ECKey:
    return ECKey.import_key(path.read_bytes())


def _any_id() -> str:
    return str(uuid4())


@dataclass(slots=True, eq=False)
class Client(System):
    """A system whose message ids come from `new_id`."""

    _: KW_ONLY
    new_id: Callable[[], str] = field(default=_any_id, repr=False)

    def __post_init__(self) -> None:
        if self.transport is None:
            System.__post_init__(self)
            return
        # no network, no TLS: a context for it would cost more than the call
        self._signer = _key(self.key)
        self._client = httpx.AsyncClient(transport=self.transport, trust_env=False, timeout=30)

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        form: Pairs | None = None,
        resource: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        stamped = {"AORTA-ID": self.aorta(self.new_id()), **(headers or {})}
        return await System.call(self, method, path, token=token, form=form, resource=resource, headers=stamped)

    def aorta(self, chain: str) -> str:
        """An AORTA-ID header: a new message in the chain `chain`."""
        return f"initialRequestID={chain}; requestID={self.new_id()}"


class InMemory(httpx.AsyncBaseTransport):
    """Calls an ASGI application as the listener would, for a client with this certificate (DER)."""

    def __init__(self, app: Asgi, certificate: bytes) -> None:
        self._app, self._certificate = app, certificate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([part async for part in request.stream])
        return await self.answer(request, body)

    async def answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """Raises httpx.RemoteProtocolError if the application answers nothing."""
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self._app(self._scope(request), receive, send)
        if not sent:
            raise httpx.RemoteProtocolError("no answer", request=request)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], stream=_Whole(content), request=request)

    def _scope(self, request: httpx.Request) -> dict[str, Any]:
        path, _, query = request.url.raw_path.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "https",
            "method": request.method,
            "path": request.url.path,
            "raw_path": path,
            "root_path": "",
            "query_string": query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "extensions": {CERTIFICATE: self._certificate},
        }


class _Whole(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body that came at once."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content

    def __iter__(self) -> Any:
        yield self._content


class Inward(httpx.BaseTransport):
    """The same for a caller without a loop: each request runs the country's."""

    def __init__(self, way: httpx.AsyncBaseTransport, run: Callable[[Any], Any]) -> None:
        self._way, self._run = way, run

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        whole = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        answered: httpx.Response = self._run(_answered(self._way, whole))
        return answered


async def _answered(way: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
    got = await way.handle_async_request(request)
    return httpx.Response(got.status_code, headers=got.headers, content=await got.aread(), request=request)
