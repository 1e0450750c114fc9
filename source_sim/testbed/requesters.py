"""How does a GP post, hospital or ambulance of the testbed ask, explain and report? In the words of the domain.

The question goes over the exchange's own interface with the real client; the answer comes with what the journal says.
Knows the interface; judges nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from source_sim import requesters
from source_sim.country import Participant
from source_sim.requesters import SEARCHES, Ask, Claims, Persona, Reply, Search, TokenRefused, bsn_token
from source_sim.systems import SimulatedSystem
from source_sim.testbed import near_misses
from source_sim.testbed.answers import Answer, Outcome, decision_of
from source_sim.testbed.client import Client
from source_sim.testbed.own_client import Question, answered
from source_sim.testbed.sending import Desk, Sent
from source_sim.testbed.situation import claims_of
from source_sim.testbed.sources import Faults
from source_sim.testbed.transcript import Transcript
from source_sim.testbed.world import World


@dataclass(frozen=True, slots=True)
class Row:
    """One row tried by `$explain`: the conditions that hold, and those that are missing."""

    id: str
    sentence: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """The decision without any query. `change` is the smallest change that would turn a refusal."""

    status: int
    code: str
    outcome: str
    reason: str
    sentence: str
    change: str
    rows: tuple[Row, ...]


@dataclass(slots=True, eq=False)
class Requester:
    """A system that asks. `key` is what transcripts call it."""

    key: str
    participant: Participant
    persona: Persona
    world: World = field(repr=False)
    own: Any = field(default=None, repr=False)
    """A client of the tester's own, instead of ours."""
    faults: Faults | None = field(default=None, repr=False)
    system: SimulatedSystem | None = field(default=None, repr=False)
    """Where messages for it arrive; None where it has no endpoint."""

    @property
    def ura(self) -> str:
        return self.participant.ura

    @property
    def application(self) -> str:
        return self.participant.application

    @property
    def name(self) -> str:
        return self.participant.name

    @property
    def join(self) -> dict[str, Any]:
        """What `switchpoint join` would tell this system; paths are absolute."""
        return self.world.join(self.participant, self.system.endpoint if self.system else None)

    @property
    def inbox(self) -> list[dict[str, object]]:
        """Every message it has taken (referrals, what came back): id, event, sender, at, repeats, altered."""
        return self.system.inbox.listing() if self.system is not None else []

    def claims(self, **situation: Any) -> Claims:
        """The claims of a token in this situation."""
        return claims_of(self.persona, self.world.now(), self.world.new_id, situation)

    def token(self, patient: Any = None, **situation: Any) -> str:
        """An access token about this patient; without one, that of a system acting by itself. Raises TokenRefused."""
        said = {**self.claims(**situation), "patient": patient.bsn} if patient else {"sub": self.application}
        return self.world.run(self._client.token(said))

    def ask(self, kind: str, patient: Any, **situation: Any) -> Answer:
        """Put one question: gp-summary, medication, allergies, treatment-limits, or localise. Words of a situation:
        see situation.py; `wait` is this asker's own patience in seconds."""
        wait, claims = situation.pop("wait", None), self.claims(**situation)
        self.world.tick()
        began, mark = self.world.running.time(), self.world.journal.mark
        asked = _Asked(Ask(kind), patient, claims, requesters.patience(wait) if wait else {})
        replies = self._replies(asked)
        return self._answer(asked, replies, mark, self.world.running.time() - began)

    def _replies(self, asked: _Asked) -> list[Reply]:
        if self.own is not None:
            self.world.be_real()
            now = int(self.world.wall().timestamp())
            question = Question(asked.kind.value, asked.patient.bsn, asked.claims, asked.headers, self.join, now)
            with self.http() as http:
                return [answered(self.own, question, http)]
        try:
            return self.world.run(self.world.with_what_happens(self._put(asked)))
        except TokenRefused as refused:
            return [Reply(0, httpx.Headers(), json.dumps(_outcome(refused)).encode())]

    def send_return(self, patient: Any, case: str = "U71", id: str | None = None, **situation: Any) -> Sent:
        """Report back to her GP of record: a return message, from hospital and ambulance an emergency report. The same
        `id` and patient again is the same message. Delivered by `switchpoint.deliver()`."""
        return Desk(self.participant, self.persona, self.world).send(patient, case, id, None, situation)

    def resend(self, sent: Sent, **situation: Any) -> Sent:
        """Hand the very same bytes in once more."""
        return Desk(self.participant, self.persona, self.world).hand_in(sent.body, sent.id, self.claims(**situation))

    def http(self) -> httpx.Client:
        """A plain client that speaks to the exchange with this system's certificate; close it after use."""
        return self.world.http(self.participant)

    def localise(self, patient: Any, **situation: Any) -> Answer:
        """Which entries it may ask; the matches are Lists."""
        return self.ask("localise", patient, **situation)

    def explain(self, kind: str, patient: Any, **situation: Any) -> Explained:
        """The decision without any query (`$explain`). It is journaled as an explanation."""
        claims = {**self.claims(**situation), "patient": patient.bsn}
        return self.world.run(self._explained(kind, claims))

    @property
    def _client(self) -> Client:
        return self.world.client(self.participant)

    async def _put(self, asked: _Asked) -> list[Reply]:
        """One token, then all its searches at once, in one chain. Raises TokenRefused."""
        client, chain = self._client, self.world.new_id()
        token = await client.token({"patient": asked.patient.bsn, **asked.claims})
        calls = [self._search(client, token, chain, search, asked) for search in SEARCHES[asked.kind]]
        return list(await asyncio.gather(*calls))

    async def _search(self, client: Client, token: str, chain: str, search: Search, asked: _Asked) -> Reply:
        return await client.call(
            "POST",
            f"/{search.resource_type}/_search",
            token=token,
            form=[(search.patient, bsn_token(asked.patient.bsn)), *search.others],
            headers={"AORTA-ID": client.aorta(chain), **asked.headers},
        )

    def _answer(self, asked: _Asked, replies: list[Reply], mark: int, elapsed: float) -> Answer:
        telling = next((reply for reply in replies if reply.status >= 300), replies[0])
        others = tuple(reply for reply in replies if reply is not telling)
        whole = Reply(telling.status, telling.headers, telling.body, others)
        key, told = self.world.key_of, self.world.journal.since(mark)
        lines = told.all if not whole.aorta_id else told.of(whole).all
        transcript = Transcript(lambda: list(lines))
        answer = Answer(
            kind=asked.kind.value,
            status=whole.status,
            code=whole.code,
            sentence=whole.sentence,
            completeness=whole.completeness,
            outcomes=tuple(Outcome(one.code, one.sentence, key(one.ura)) for one in whole.outcomes),
            sources=tuple(sorted(key(ura) for ura in whole.sources)),
            flags=whole.flags,
            body=whole.body,
            others=others,
            aorta_id=whole.aorta_id,
            decision=decision_of(lines, key, whole.status),
            elapsed=elapsed,
            matches=tuple(whole.matches),
            transcript=transcript,
            asker=self.name,
        )
        answer = replace(answer, misses=near_misses.misses(self.world, self.participant, asked, answer))
        self.world.answers.append(answer)
        return answer

    async def _explained(self, kind: str, claims: Claims) -> Explained:
        wanted = {"resourceType": "Parameters", "parameter": [{"name": "category", "valueCode": kind}]}
        token = await self._client.token(claims)
        reply = await self._client.call("POST", "/$explain", token=token, resource=wanted)
        parameters: list[dict[str, Any]] = reply.json.get("parameter", [])
        texts = {one["name"]: str(one["valueString"]) for one in parameters if "valueString" in one}
        rows = tuple(_row(one["part"]) for one in parameters if one["name"] == "row")
        outcome, reason, sentence, change = (
            texts.get(name, "") for name in ("outcome", "reason", "sentence", "change")
        )
        return Explained(reply.status, reply.code, outcome, reason, sentence, change, rows)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question in its situation."""

    kind: Ask
    patient: Any
    claims: Claims
    headers: Mapping[str, str]


def _row(parts: list[dict[str, str]]) -> Row:
    named = {name: tuple(one["valueString"] for one in parts if one["name"] == name) for name in ("matched", "missing")}
    plain = {one["name"]: one["valueString"] for one in parts}
    return Row(plain["id"], plain.get("sentence", ""), named["matched"], named["missing"])


def _outcome(refused: TokenRefused) -> dict[str, Any]:
    details = {"coding": [{"code": refused.error}], "text": "No token was given, so nothing was asked."}
    return {"resourceType": "OperationOutcome", "issue": [{"details": details}]}
