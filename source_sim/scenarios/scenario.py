"""What is a whole scenario? Title, story, given – when – then; and the JSON Schema that is published of it.

Part of the form. `schema.json` beside this file is `schema()` written down; a test keeps both the same.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Final, cast

from pydantic import Discriminator, Field, Tag
from pydantic.json_schema import models_json_schema

from source_sim.faults import FaultName
from source_sim.scenarios import words
from source_sim.scenarios.form import Listed, OrganisationName, Part, PatientName, Sentence, Words
from source_sim.scenarios.given import SENTINELS, Given
from source_sim.scenarios.steps import (
    AskStep,
    ChoiceStep,
    ClockStep,
    DeliverStep,
    EndStep,
    EnrolStep,
    ExplainStep,
    FaultStep,
    FollowStep,
    LocaliseStep,
    LookStep,
    MendStep,
    ReferStep,
    RegimeStep,
    RegisterStep,
    SendReturnStep,
    Then,
    WaitStep,
)

VERBS: Final = MappingProxyType(
    {
        "ask": AskStep,
        "explain": ExplainStep,
        "localise": LocaliseStep,
        "send-return": SendReturnStep,
        "refer": ReferStep,
        "follow": FollowStep,
        "choice": ChoiceStep,
        "register": RegisterStep,
        "end": EndStep,
        "enrol": EnrolStep,
        "regime": RegimeStep,
        "fault": FaultStep,
        "mend": MendStep,
        "wait": WaitStep,
        "clock": ClockStep,
        "deliver": DeliverStep,
        "look": LookStep,
    }
)
"""Every verb of a step, with its model."""


def _tag(step: Any) -> str:
    """Which model a step is; a tag is never a key of the form, so that places in a file can be found by it."""
    verbs = [verb for verb in VERBS if isinstance(step, dict) and verb in step]
    return f"{verbs[0]} step" if len(verbs) == 1 else "no step"


Step = Annotated[
    Annotated[AskStep, Tag("ask step")]
    | Annotated[ExplainStep, Tag("explain step")]
    | Annotated[LocaliseStep, Tag("localise step")]
    | Annotated[SendReturnStep, Tag("send-return step")]
    | Annotated[ReferStep, Tag("refer step")]
    | Annotated[FollowStep, Tag("follow step")]
    | Annotated[ChoiceStep, Tag("choice step")]
    | Annotated[RegisterStep, Tag("register step")]
    | Annotated[EndStep, Tag("end step")]
    | Annotated[EnrolStep, Tag("enrol step")]
    | Annotated[RegimeStep, Tag("regime step")]
    | Annotated[FaultStep, Tag("fault step")]
    | Annotated[MendStep, Tag("mend step")]
    | Annotated[WaitStep, Tag("wait step")]
    | Annotated[ClockStep, Tag("clock step")]
    | Annotated[DeliverStep, Tag("deliver step")]
    | Annotated[LookStep, Tag("look step")],
    Discriminator(_tag),
]

COVERABLE: Final = (
    *words.ROWS,
    *(f"bar {one}" for one in words.BARS),
    *(f"outcome {one}" for one in words.OUTCOMES),
    *(f"completeness {one}" for one in words.COMPLETENESS),
    *(f"flag {one}" for one in words.FLAGS),
    *(f"regime {one}" for one in words.REGIMES),
    *(f"fault {one}" for one in FaultName),
    *(f"sentinel {one}" for one in SENTINELS),
)
"""What a scenario can claim to show. A claim that does not come true fails the scenario."""


class Finally(Then):
    """What holds in the end."""

    inboxes: dict[OrganisationName, int | list[Annotated[str, Words(words.MESSAGES)]]] = Field(default_factory=dict)
    """Messages an organisation has taken: how many, or which kinds."""
    outbox: dict[Annotated[str, Words(words.OUTBOX)], int] | None = None
    patient_sees: dict[PatientName, list[str]] = Field(default_factory=dict)
    """What a patient finds on her page, newest first, others may stand between."""


class Scenario(Part):
    """A story about the exchange that can be played."""

    scenario: Sentence
    """Title."""
    story: Sentence
    """What happens, as a nurse would tell it."""
    covers: Annotated[list[Annotated[str, Words(COVERABLE)]], Listed()] = Field(default_factory=list)
    """Rows, bars, outcomes, faults and so on that this scenario shows."""
    given: Given = Given()
    when: Annotated[list[Step], Field(min_length=1)]
    then: Finally = Finally()


ID: Final = "https://switchpoint.example/schemas/scenario.json"


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a scenario file."""
    _, made = models_json_schema([(Scenario, "validation")], by_alias=True)
    root = made["$defs"].pop("Scenario")
    told = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": ID, **root, "title": "Scenario"}
    return cast("dict[str, Any]", told | {"$defs": made["$defs"]})
