"""What can happen in a scenario, and what may then be expected? One model per verb, one per kind of expectation.

Part of the form; it may not know how a step is carried out.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from source_sim.requesters import Ask
from source_sim.scenarios import words
from source_sim.scenarios.form import (
    CustodianName,
    Listed,
    MessageName,
    OrganisationName,
    Part,
    PatientName,
    PracticeName,
    RequesterName,
    Short,
    Words,
)
from source_sim.scenarios.given import Ago, Category, Choice, Fault, Key, Moment, RegimeName

# --- what may be expected --------------------------------------------------------------------------------------------

Seconds = Annotated[float, Field(ge=0)]


class Then(Part):
    """What any step may lead to in the journal, from its first line to its last."""

    journal: list[str] = Field(default_factory=list)
    """Lines in this order, others may stand between: each an event and words of that line ("disclosed REG-1")."""
    never: list[str] = Field(default_factory=list)
    """Lines that must not have come."""


class StatusThen(Then):
    """How the exchange answered."""

    status: int | list[int] | None = None
    """HTTP status; a list when several are right."""
    code: str | None = None
    """The machine code of a refusal."""
    sentence: str | None = None
    """Words the exchange's sentence holds."""


class AnswerThen(StatusThen):
    """What a requester got."""

    completeness: Annotated[str, Words(words.COMPLETENESS)] | None = None
    outcomes: dict[OrganisationName, Annotated[str, Words(words.OUTCOMES)]] | None = None
    """What became of the sources that did not deliver, all of them; {} when all did."""
    sources: Annotated[list[OrganisationName], Listed()] | None = None
    """Whose data came."""
    row: Annotated[str, Words(words.ROWS)] | None = None
    """The row that permitted, as the journal tells."""
    reason: Annotated[str, Words(words.BARS)] | None = None
    """Why it stayed closed, as the journal tells."""
    total: int | None = None
    """How many matches came."""
    flags: Annotated[list[Annotated[str, Words(words.FLAGS)]], Listed()] | None = None
    neutral: bool | None = None
    """Nothing found and complete: what an unknown patient would have given."""
    within: Seconds | None = None
    """The exchange answered in at most this many seconds."""


class ExplainThen(StatusThen):
    """What the exchange says about a decision it did not carry out."""

    outcome: Literal["permitted", "neutral", "refused"] | None = None
    reason: str | None = None
    """A bar, or the row that permits."""
    change: str | None = None
    """Words the smallest change holds that would turn it."""


class LocaliseThen(StatusThen):
    """Which sources this requester may ask."""

    sources: Annotated[list[OrganisationName], Listed()] | None = None


class MessageThen(StatusThen):
    """What became of a message so far."""

    state: Annotated[str, Words(words.STATES)] | None = None
    reason: str | None = None


class LookThen(Then):
    """What a patient finds on her page."""

    sees: list[str] = Field(default_factory=list)
    """Items in this order, newest first, others may stand between; each told in a few words it holds."""
    notices: int | None = None


class DeliverThen(Then):
    """What delivering came to."""

    inboxes: dict[OrganisationName, int | list[Annotated[str, Words(words.MESSAGES)]]] = Field(default_factory=dict)
    """Messages an organisation has taken since the scenario began: how many, or which kinds."""
    outbox: dict[Annotated[str, Words(words.OUTBOX)], int] | None = None


# --- what can happen -------------------------------------------------------------------------------------------------


class Situation(Part):
    """In what situation somebody asks or sends; left out is what is usual for the organisation."""

    role: str | None = None
    cover: bool | None = None
    purpose: Literal["TREAT", "ETREAT"] | None = None
    contact: Annotated[str, Words((*words.CONTACTS, "none"))] | None = None
    contact_started: Ago | None = None
    contact_ended: Ago | None = None
    capacity: Annotated[str, Words(words.CAPACITIES)] | None = None
    verbal: Literal["patient", "representative"] | None = None
    """Who said yes on the spot."""
    verbal_at: Ago | None = None
    mandate: str | None = None
    """The role of the responsible colleague under whose mandate is acted."""
    wait: Annotated[int, Field(ge=1, le=30)] | None = None
    """How many whole seconds the requester will wait."""
    emergency: bool | None = None
    """A shorter word for purpose ETREAT (true) or TREAT (false)."""


class Asking(Situation):
    """A question to all who hold data."""

    by: RequesterName
    patient: PatientName = Field(alias="for")
    what: Annotated[str, Words(tuple(one.value for one in Ask if one is not Ask.LOCALISE))]


class Localising(Situation):
    by: RequesterName
    patient: PatientName = Field(alias="for")


class Returning(Situation):
    """A message back to the patient's own GP after a contact."""

    by: RequesterName
    patient: PatientName = Field(alias="for")
    case: Literal["U71", "L72", "T87", "K74"] | None = None
    """ICPC code of the case told in it: cystitis, broken wrist, low sugar, chest pain."""
    named: Key | None = Field(default=None, alias="as")
    """What the scenario calls this message from here on."""
    again: MessageName | None = None
    """Send that message once more, byte for byte."""


class Referring(Part):
    by: PracticeName
    to: RequesterName
    patient: PatientName = Field(alias="for")
    named: Key | None = Field(default=None, alias="as")


class Following(Part):
    message: MessageName


class Choosing(Choice):
    """A patient gives, refuses or withdraws consent."""

    of: PatientName


class Registering(Part):
    by: CustodianName
    patient: PatientName = Field(alias="for")
    what: Category
    latent: bool = False


class Ending(Part):
    by: CustodianName
    patient: PatientName = Field(alias="for")
    what: Category


class Enrolling(Part):
    """A practice takes a patient on its list; the former practice and the patient are told."""

    by: PracticeName
    patient: PatientName = Field(alias="for")
    since: date | None = None


class Regime(Part):
    start: RegimeName | None = None
    stop: RegimeName | None = None
    until: Moment | None = None
    """It then ends by itself."""


class Mending(Part):
    at: CustodianName


class Waiting(Part):
    """Domain time goes on, and what falls due on the way happens."""

    days: Seconds = 0
    hours: Seconds = 0
    minutes: Seconds = 0
    seconds: Seconds = 0


class Clock(Part):
    to: Moment


class Looking(Part):
    """A patient, or who acts for her, opens her page."""

    of: PatientName


class Delivering(Part):
    """All messages that are due now are tried."""


class Said(Part):
    """What every step may carry besides its verb."""

    note: str | None = None
    """What a bystander would say is happening; shown in the report and the diagram."""


class AskStep(Said):
    ask: Asking
    then: AnswerThen = AnswerThen()


class ExplainStep(Said):
    explain: Asking
    then: ExplainThen = ExplainThen()


class LocaliseStep(Said):
    localise: Localising
    then: LocaliseThen = LocaliseThen()


class SendReturnStep(Said):
    send_return: Returning
    then: MessageThen = MessageThen()


class ReferStep(Said):
    refer: Referring
    then: MessageThen = MessageThen()


class FollowStep(Said):
    follow: Annotated[Following, Short("message")]
    then: MessageThen = MessageThen()


class ChoiceStep(Said):
    choice: Choosing
    then: StatusThen = StatusThen()


class RegisterStep(Said):
    register_: Registering
    then: StatusThen = StatusThen()


class EndStep(Said):
    end: Ending
    then: StatusThen = StatusThen()


class EnrolStep(Said):
    enrol: Enrolling
    then: StatusThen = StatusThen()


class RegimeStep(Said):
    regime: Regime
    then: Then = Then()


class FaultStep(Said):
    fault: Fault
    then: Then = Then()


class MendStep(Said):
    mend: Annotated[Mending, Short("at")]
    then: Then = Then()


class WaitStep(Said):
    wait: Waiting
    then: DeliverThen = DeliverThen()


class ClockStep(Said):
    clock: Annotated[Clock, Short("to")]
    then: DeliverThen = DeliverThen()


class DeliverStep(Said):
    deliver: Delivering
    then: DeliverThen = DeliverThen()


class LookStep(Said):
    look: Annotated[Looking, Short("of")]
    then: LookThen = LookThen()
