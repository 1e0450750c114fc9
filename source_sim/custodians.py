"""How does a custodian's system register what it holds, state its patients' consent and read its own log?

It knows the JSON of interface.md sections 4 and 7 for List, Consent and batch, as a sender writes it, and acts with a
system token (the application speaks, no person). It may not know what the exchange decides from any of it. Times are
domain time and come in as `at`; a consent without `at` holds from the moment the exchange receives it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from source_sim.requesters import NAMING, OURS, Pairs, Reply, System, bsn_token

HL7 = "http://terminology.hl7.org/CodeSystem/"
Resource = dict[str, Any]

RELATIONSHIPS = {"parent": "PRN", "guardian": "GUARD", "representative": "POWATT"}
"""Who but the patient may state a consent, with the code of their RelatedPerson."""


def entry(
    bsn: str, category: str, *, ura: str, application: str, at: datetime | date, latent: bool = False
) -> Resource:
    """An index entry (List): custodian `ura` holds `category` about the patient in system `application`.

    For category `enrolment`, `at` is since when the patient is enrolled.
    """
    device = {
        "resourceType": "Device",
        "id": "s",
        "identifier": [_identifier("aorta-app-id", application)],
        "owner": {"identifier": _identifier("ura", ura)},
    }
    made: Resource = {
        "resourceType": "List",
        "contained": [device],
        "status": "current",
        "mode": "working",
        "code": _concept(f"{OURS}CodeSystem/data-category", category),
        "subject": {"identifier": _identifier("bsn", bsn)},
        "date": at.isoformat(),
        "source": {"reference": "#s"},
        "emptyReason": _concept(f"{HL7}list-empty-reason", "withheld"),
    }
    return made | ({"meta": {"tag": [_coding(f"{OURS}CodeSystem/registration", "latent")]}} if latent else {})


@dataclass(frozen=True, slots=True)
class Choice:
    """What a patient said, as a custodian writes it down; empty `categories` or `requesters` mean all.

    `requesters` holds requester groups (`gp-care`, ...) and URAs; `custodian` None means all custodians. Inactive takes
    the statement back: an inactive permit is a withdrawal. `by` names patient, parent, guardian or representative;
    `birth_date` is the patient's. `recorder` and `information` (the version given to the patient) may stay empty.
    """

    permit: bool = True
    custodian: str | None = None
    categories: Collection[str] = ()
    requesters: Collection[str] = ()
    emergency_only: bool = False
    active: bool = True
    at: datetime | None = None
    by: Sequence[str] = ("patient",)
    birth_date: date | None = None
    method: str = "written"
    recorder: str = ""
    information: str = ""


def consent(bsn: str, choice: Choice) -> Resource:
    """The privacy Consent (scope `patient-privacy`) that says `choice`. KeyError for an unknown party in `by`."""
    made: Resource = {
        "resourceType": "Consent",
        "contained": _people(bsn, choice),
        "extension": [_how(choice)],
        "status": "active" if choice.active else "inactive",
        "scope": _concept(f"{HL7}consentscope", "patient-privacy"),
        "category": [_concept("http://loinc.org", "59284-0")],
        "patient": {"identifier": _identifier("bsn", bsn)},
        "dateTime": choice.at.isoformat() if choice.at else None,
        "performer": [{"reference": f"#{party}"} for party in choice.by],
        "organization": [{"identifier": _identifier("ura", choice.custodian)}] if choice.custodian else [],
        "policyRule": _concept(f"{HL7}v3-ActCode", "OPTIN"),
        "provision": _provision(choice),
    }
    return {name: value for name, value in made.items() if value}


def _people(bsn: str, choice: Choice) -> list[Resource]:
    """The contained patient (always: relatives refer to it, an age hangs on it) and whoever else stated."""
    patient: Resource = {"resourceType": "Patient", "id": "patient", "identifier": [_identifier("bsn", bsn)]}
    patient |= {"birthDate": choice.birth_date.isoformat()} if choice.birth_date else {}
    relatives = [
        {
            "resourceType": "RelatedPerson",
            "id": party,
            "patient": {"reference": "#patient"},
            "relationship": [_concept(f"{HL7}v3-RoleCode", RELATIONSHIPS[party])],
        }
        for party in choice.by
        if party != "patient"
    ]
    return [patient, *relatives]


def _how(choice: Choice) -> Resource:
    parts = [{"url": "method", "valueCode": choice.method}]
    for name, text in (("recorder", choice.recorder), ("information", choice.information)):
        parts += [{"url": name, "valueString": text}] if text else []
    return {"url": f"{OURS}StructureDefinition/consent-method", "extension": parts}


def _provision(choice: Choice) -> Resource:
    categories = [_coding(f"{OURS}CodeSystem/data-category", category) for category in choice.categories]
    purposes = [_coding(f"{HL7}v3-ActReason", "ETREAT")] if choice.emergency_only else []
    made = {
        "type": "permit" if choice.permit else "deny",
        "actor": [_actor(requester) for requester in choice.requesters],
        "purpose": purposes,
        "class": categories,
    }
    return {name: value for name, value in made.items() if value}


def _actor(requester: str) -> Resource:
    group = {"system": f"{OURS}CodeSystem/requester-group", "value": requester}
    who = _identifier("ura", requester) if requester.isdigit() else group
    return {"role": _concept(f"{HL7}v3-ParticipationType", "IRCP"), "reference": {"identifier": who}}


def _identifier(system: str, value: str) -> dict[str, str]:
    return {"system": NAMING + system, "value": value}


def _coding(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code}


def _concept(system: str, code: str) -> Resource:
    return {"coding": [_coding(system, code)]}


def batch(resources: Sequence[Resource]) -> Resource:
    """A batch Bundle that creates these Lists and Consents, in this order."""
    entries = [{"resource": one, "request": {"method": "POST", "url": one["resourceType"]}} for one in resources]
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


@dataclass(frozen=True, slots=True)
class Custodian:
    """A GP practice's or pharmacy's system at work, each call with a fresh token.

    Calls raise TokenRefused, and httpx.TransportError when the exchange is not reached; every other refusal is a Reply.
    """

    system: System

    async def register_entry(
        self, bsn: str, category: str, latent: bool = False, *, at: datetime | date | None = None
    ) -> Reply:
        """Register that this system holds `category` about the patient, as of `at` (now, on this system's clock)."""
        return await self._send("POST", "/List", self.entry(bsn, category, latent=latent, at=at))

    def entry(self, bsn: str, category: str, *, latent: bool = False, at: datetime | date | None = None) -> Resource:
        """The List that `register_entry` sends, for a batch or for altering."""
        who = {"ura": self.system.ura, "application": self.system.application}
        return entry(bsn, category, **who, at=at or self.system.wall(), latent=latent)

    async def end_entry(self, id: str) -> Reply:
        return await self._send("DELETE", f"/List/{id}")

    async def enrol(self, bsn: str, since: date) -> Reply:
        """Tell that the patient is enrolled with this practice (inschrijving op naam), as of the day `since`."""
        return await self.register_entry(bsn, "enrolment", at=since)

    async def end_enrolment(self, id: str) -> Reply:
        """End the enrolment whose List has this id (the end of the `Location` that `enrol` was answered with)."""
        return await self.end_entry(id)

    async def read_entry(self, id: str) -> Reply:
        return await self._send("GET", f"/List/{id}")

    async def own_entries(self) -> Reply:
        """All entries of this system; the answer's matches are Lists."""
        return await self._search("List", [("source:Device.identifier", self._device())])

    async def state_consent(self, bsn: str, choice: Choice) -> Reply:
        """State a choice at this custodian, which is filled in where the choice names none."""
        return await self._send("POST", "/Consent", consent(bsn, self.own(choice)))

    async def change_consent(self, id: str, bsn: str, choice: Choice, *, etag: str | None = None) -> Reply:
        """Replace a consent this custodian stated; with `etag` only if that is still its version."""
        resource = {**consent(bsn, self.own(choice)), "id": id}
        return await self._send("PUT", f"/Consent/{id}", resource, {"If-Match": etag} if etag else {})

    async def read_consent(self, id: str) -> Reply:
        return await self._send("GET", f"/Consent/{id}")

    async def own_consents(self, bsn: str) -> Reply:
        """What this patient stated through this custodian."""
        form = [("patient.identifier", bsn_token(bsn)), ("scope", "patient-privacy")]
        return await self._search("Consent", form)

    async def batch(self, resources: Sequence[Resource]) -> Reply:
        """Send many Lists and Consents at once; each has its own status in the answer's entries."""
        return await self._send("POST", "", batch(resources))

    async def audit_events(self, bsn: str, *, dates: Sequence[str] = (), count: int | None = None) -> Reply:
        """What the journal holds on this custodian's own data about the patient, newest first.

        `dates` are FHIR date prefixes with a date (`ge2026-11-21`); `count` the page size.
        """
        form = [("patient.identifier", bsn_token(bsn)), *(("date", one) for one in dates)]
        form += [("_count", str(count))] if count is not None else []
        return await self._search("AuditEvent", form, patient=bsn)

    def own(self, choice: Choice) -> Choice:
        """The choice with this custodian filled in where it names none."""
        return choice if choice.custodian else replace(choice, custodian=self.system.ura)

    async def token(self, *, patient: str | None = None) -> str:
        """A token with which the system acts by itself; `patient` only where the interface wants one named."""
        return await self.system.token({"sub": self.system.application, "patient": patient})

    async def _send(
        self, method: str, path: str, resource: Resource | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        return await self.system.call(method, path, token=await self.token(), resource=resource, headers=headers)

    async def _search(self, resource_type: str, form: Pairs, *, patient: str | None = None) -> Reply:
        token = await self.token(patient=patient)
        return await self.system.call("POST", f"/{resource_type}/_search", token=token, form=form)

    def _device(self) -> str:
        return f"{NAMING}aorta-app-id|{self.system.application}"
