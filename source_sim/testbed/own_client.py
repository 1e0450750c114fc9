"""How does a client of the tester's own ask? It gets the question and a way to the exchange, and gives back the answer.

A callable is called with (question, http) and returns what the exchange said: an httpx.Response, a requesters.Reply or
the body's bytes. A URL is sent the question as JSON and answers with what it got. Knows shapes only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from source_sim.requesters import SEARCHES, Ask, Claims, Reply, bsn_token

OwnClient = Callable[["Question", httpx.Client], "httpx.Response | Reply | bytes"] | str


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be asked: kind, about whom, the claims of the situation, further headers, and who asks (`join` is what
    join.json tells; its paths are those of certificate and key)."""

    kind: str
    bsn: str = field(repr=False)
    claims: Claims = field(repr=False)
    headers: Mapping[str, str]
    join: Mapping[str, Any] = field(repr=False)
    wall: int
    """Wall time in seconds since 1970, for `iat` and `exp`: today's, where a client of one's own asks."""

    @property
    def searches(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The searches of this question: path below the exchange's address, and form."""
        return [
            (f"/fhir/{search.resource_type}/_search", [(search.patient, bsn_token(self.bsn)), *search.others])
            for search in SEARCHES[Ask(self.kind)]
        ]

    def told(self) -> dict[str, Any]:
        """As JSON, for a client behind a URL."""
        return {
            "kind": self.kind,
            "bsn": self.bsn,
            "claims": self.claims,
            "headers": dict(self.headers),
            "join": dict(self.join),
            "wall": self.wall,
        }


def answered(client: OwnClient, question: Question, http: httpx.Client) -> Reply:
    """What the client got. Raises TypeError for what is no answer, httpx.HTTPError when a URL does not answer."""
    if isinstance(client, str):
        got = httpx.post(client, json=question.told(), trust_env=False, timeout=60)
        return Reply(got.status_code, got.headers, got.content)
    came = client(question, http)
    if isinstance(came, httpx.Response):
        return Reply(came.status_code, came.headers, came.content)
    if isinstance(came, bytes):
        return Reply(200, httpx.Headers(), came)
    if isinstance(came, Reply):
        return came
    raise TypeError(f"a client returns an httpx.Response, a Reply or bytes, not {type(came).__name__}")
