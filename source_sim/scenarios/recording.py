"""How does a call that happened become a scenario? What the journal told of it, written in the scenario's form.

Who asked in which situation, what was known where, which faults to set so that sources fail as they did, and what came.
It may not know a ledger; the patient's number and every person's name stay behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml

from source_sim.scenarios import words
from source_sim.scenarios.reading import parse

_DUTCH_TIME: Final = ZoneInfo("Europe/Amsterdam")
_FAULT_OF: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "timed-out": {"fault": "slow", "seconds": 20},
        "unreachable": {"fault": "down"},
        "malformed": {"fault": "garbage"},
        "refused": {"fault": "refusing"},
        "wrong-patient": {"fault": "wrong-patient"},
        "truncated": {"fault": "paging"},
        "withheld": {"fault": "withheld"},
        "no-consent": {"fault": "no-consent"},
    }
)
"""A fault by which a source fails the way it did."""
_REQUESTERS: Final = MappingProxyType(
    {"N6": "gp-post", "AMB": "ambulance", "J8": "covering-pharmacy", "V4": "specialist"}
)
_USUAL_ROLE: Final = MappingProxyType(
    {
        "gp-post": "01.015",
        "emergency-department": "01.071",
        "ambulance": "30.000",
        "specialist": "01.016",
        "covering-pharmacy": "17.075",
    }
)
PATIENT: Final = "patient"
ASKER: Final = "asker"


@dataclass(frozen=True, slots=True)
class Source:
    """A custodian that was considered: `decision` as the journal has it (outcome, row, reason), `leg` what became of
    asking it, empty when it was not asked."""

    name: str
    kind: str
    latent: bool = False
    decision: Mapping[str, Any] = field(default_factory=dict)
    leg: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One question as the journal tells it. `asked` are the fields of the line that decided it; `choices` the patient's
    statements until then in the form of given.consents; `came` is empty for a permitted or neutral answer's refusal:
    `reason`, else completeness and flags."""

    at: datetime
    regimes: Sequence[str]
    asked: Mapping[str, Any]
    sources: Sequence[Source]
    choices: Sequence[Mapping[str, Any]]
    came: Mapping[str, Any]


def scenario_of(call: Call) -> str:
    """The scenario file's text. Raises Unreadable should the call not fit the form."""
    told = {
        "scenario": f"Recorded: {call.asked.get('category')} asked by {_kind(call.asked)}",
        "story": "A call as it was recorded; tell here what happened.",
        "given": _given(call),
        "when": [{"ask": _ask(call), "then": _then(call)}],
    }
    text = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    parse(text, Path("recorded"))
    return str(text)


def _kind(asked: Mapping[str, Any]) -> str:
    kind = _REQUESTERS.get(str(asked.get("organisation_type")), "")
    return "emergency-department" if kind == "specialist" and asked.get("department") else kind or "another"


def _given(call: Call) -> dict[str, Any]:
    organisations: dict[str, Any] = {one.name: one.kind for one in call.sources}
    organisations[ASKER] = _asker(call.asked)
    given = {"time": f"{call.at.astimezone(_DUTCH_TIME):%Y-%m-%dT%H:%M}"}
    regimes = [one for one in call.regimes if one in words.REGIMES]
    faults: list[dict[str, Any]] = [
        {"at": one.name, **_FAULT_OF[one.leg]} for one in call.sources if one.leg in _FAULT_OF
    ]
    more = {"regimes": regimes, "faults": faults}
    return {
        **given,
        "organisations": organisations,
        "patients": {PATIENT: _patient(call)},
        **{name: value for name, value in more.items() if value},
    }


def _asker(asked: Mapping[str, Any]) -> Any:
    kind = _kind(asked)
    if kind != "another":
        return kind
    return {"type": str(asked.get("organisation_type")), "role": str(asked.get("actor_role"))}


def _patient(call: Call) -> dict[str, Any]:
    practices = [one.name for one in call.sources if one.kind == "gp-practice"]
    pharmacies = [one.name for one in call.sources if one.kind == "pharmacy"]
    told: dict[str, Any] = {"gp": practices[0]} if practices else {}
    told |= {"pharmacy": pharmacies} if pharmacies else {}
    told |= {"consents": [dict(one) for one in call.choices] or "none"}
    return told | ({"latent": True} if any(one.latent for one in call.sources) else {})


def _ask(call: Call) -> dict[str, Any]:
    asked, kind = call.asked, _kind(call.asked)
    reason = call.came.get("reason")
    told: dict[str, Any] = {"by": ASKER, "for": PATIENT, "what": str(asked.get("category"))}
    if asked.get("actor_role") not in (None, _USUAL_ROLE.get(kind)):
        told["role"] = str(asked["actor_role"])
    if asked.get("responsible_role"):
        told["mandate"] = str(asked["responsible_role"])
    if asked.get("cover") is False and kind in ("gp-post", "covering-pharmacy"):
        told["cover"] = False
    told |= {name: asked[name] for name in ("purpose", "capacity") if asked.get(name) not in (None, "capable")}
    told["contact"] = str(asked.get("contact_kind") or "none")
    if reason == "no-treatment-relation" and told["contact"] != "none":
        told |= {"contact-started": "-31d", "contact-ended": "-30d"}
    if asked.get("attestation"):
        told["verbal"] = "representative" if asked.get("capacity") == "represented" else "patient"
        told |= {"verbal-at": "-96h"} if reason == "bad-attestation" else {}
    return told


def _then(call: Call) -> dict[str, Any]:
    reason = call.came.get("reason")
    if reason and call.came.get("refused"):
        return {"status": 403, "code": str(reason)}
    told: dict[str, Any] = {"completeness": call.came["completeness"]} if call.came.get("completeness") else {}
    told |= {"code": str(reason)} if reason else {}
    rows = [one.decision["row"] for one in call.sources if one.decision.get("row")]
    told |= {"row": str(rows[0])} if rows and not reason else {}
    told |= {"flags": list(call.came["flags"])} if call.came.get("flags") else {}
    missing = {one.name: one.leg for one in call.sources if one.leg in _FAULT_OF and one.leg != "no-consent"}
    return told | ({"outcomes": missing} if missing and not reason else {})
