"""How does an organisation of the testbed report back or refer, and learn what became of it? Real messages, and Tasks.

Handed in over the exchange's own interface; the content is composed as the simulated country composes it. Knows the
interface; judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from source_sim import cases, messages, senders
from source_sim.cases import Case
from source_sim.country import Participant
from source_sim.messages import Occasion
from source_sim.requesters import Claims, Persona, System, TokenRefused
from source_sim.testbed.situation import claims_of
from source_sim.testbed.world import World

CASES: Final[dict[str, Case]] = {
    one.complaint.icpc: one for one in (cases.CYSTITIS, cases.BROKEN_WRIST, cases.LOW_SUGAR, cases.CHEST_PAIN)
}
"""What a message can be about, by ICPC code: U71, L72, T87, K74."""

STATES: Final = frozenset({"completed", "failed", "on-hold", "requested", "in-progress"})


@dataclass(slots=True, eq=False)
class Sent:
    """A message that was handed in. `status` and `code` are the exchange's answer (`code` empty when it was accepted),
    `id` the message's own; sent again with that id and the same bytes it is the same message."""

    status: int
    code: str
    sentence: str
    id: str
    task: str
    body: bytes = field(repr=False)
    aorta_id: str
    _one: Participant = field(repr=False)
    _world: World = field(repr=False)

    @property
    def state(self) -> str:
        """Where it stands now, as its sender reads it: requested, in-progress, completed, failed or on-hold; empty when
        it was refused."""
        return str(self._task().get("status", ""))

    @property
    def reason(self) -> str:
        """Why it failed or is on hold."""
        why = self._task().get("statusReason", {})
        codes = [coding.get("code", "") for coding in why.get("coding", [])]
        return str(next(iter(codes), why.get("text", "")))

    def _task(self) -> dict[str, Any]:
        if not self.task:
            return {}
        return self._world.run(senders.read_task(self._world.client(self._one), self.task)).json

    def expect(self, state: str) -> Sent:
        """The message itself, if that is where it stands. Raises AssertionError."""
        assert state in STATES, f"a message is {', '.join(sorted(STATES))}"
        if self.state != state:
            why = f" ({self.reason})" if self.reason else ""
            refused = f"; it was not accepted: {self.status} {self.code}. {self.sentence}" if not self.task else ""
            raise AssertionError(f"the message is {self.state or 'nowhere'}{why}, not {state}{refused}")
        return self


@dataclass(frozen=True, slots=True)
class Desk:
    """Where an organisation's messages are made and handed in."""

    participant: Participant
    persona: Persona
    world: World

    def send(
        self, patient: Any, case: str | Case, id: str | None, to: Participant | None, situation: dict[str, Any]
    ) -> Sent:
        """Compose and hand in; `to` makes it a referral. Raises KeyError for a case that is none."""
        now, id = self.world.now(), id or self.world.new_id()
        about = case if isinstance(case, Case) else CASES[case]
        occasion = Occasion(id, now, patient.person, self.participant, self.persona, about)
        claims = claims_of(self.persona, now, self.world.new_id, situation)
        return self.hand_in(_composed(occasion, to), id, claims)

    def hand_in(self, body: bytes, id: str, claims: Claims) -> Sent:
        """Hand these bytes in."""
        try:
            reply = self.world.act(senders.send(self._system, body, claims))
        except TokenRefused as refused:
            return self._sent(refused.status, refused.error, "No token was given.", id, "", body, "")
        task, code = senders.task_of(reply), reply.code if reply.status >= 300 else ""
        sentence = reply.sentence if code else ""
        return self._sent(reply.status, code, sentence, id, task, body, reply.aorta_id)

    @property
    def _system(self) -> System:
        return self.world.client(self.participant)

    def _sent(self, status: int, code: str, sentence: str, id: str, task: str, body: bytes, aorta: str) -> Sent:
        return Sent(status, code, sentence, id, task, body, aorta, self.participant, self.world)


def _composed(occasion: Occasion, to: Participant | None) -> bytes:
    if to is not None:
        return messages.referral(occasion, to)
    post = occasion.organisation.organisation_type == "N6"
    return messages.return_message(occasion) if post else messages.emergency_report(occasion)
