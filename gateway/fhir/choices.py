"""What did the patient choose? A privacy Consent in, our `Choice` out, before anybody judges entitlement.

Takes the form of interface.md sections 4 and 7 and nothing beside it: a nested provision, a period or an action would
change what the patient said, so they are refused rather than dropped.
"""

from __future__ import annotations

from datetime import date
from types import MappingProxyType
from typing import cast

from gateway.fhir import codes, moments, strict
from gateway.fhir.bodies import Json, codings, contained_at, content, effective, has_code, only, patient_of
from gateway.fhir.codes import Problem
from gateway.fhir.reading import category_word
from gateway.fhir.refusal import BadRequest, refuse
from gateway.rules.choice import Choice, Method, Party, Say, Scope
from gateway.rules.exchange import Category, Group
from gateway.rules.identifiers import BSN_SYSTEM, URA_SYSTEM, Bsn, InvalidIdentifier, Ura

_CONSENT = frozenset(
    {"resourceType", "id", "meta", "language", "text", "contained", "extension", "identifier", "status", "scope"}
    | {"category", "patient", "dateTime", "performer", "organization", "policyRule", "policy", "provision"}
)
_PROVISION = frozenset({"id", "type", "class", "actor", "purpose"})

SAYS = MappingProxyType(
    {
        ("active", "permit"): Say.YES,
        ("active", "deny"): Say.NO,
        ("inactive", "permit"): Say.WITHDRAWN,
        ("inactive", "deny"): Say.CLEARED,
    }
)
"""Status and provision type together say what the patient says (interface.md section 4)."""

PARTIES = MappingProxyType({"PRN": Party.PARENT, "GUARD": Party.GUARDIAN, "POWATT": Party.REPRESENTATIVE})


def choice(body: bytes, *, sender: Ura | None) -> Choice:
    """The choice a privacy Consent states.

    `sender` is the custodian handing it in, which states for itself only; None takes any custodian, or all.
    Raises Malformed (400), BadRequest (422; 403 for another custodian, or all of them).
    """
    resource = cast("Json", strict.resource(body, "Consent"))
    only("Consent", resource, _CONSENT)
    _check_kind(resource)
    patient = patient_of(resource, "patient", "Consent")
    provision = resource.get("provision", {})
    only("Consent.provision", provision, _PROVISION)
    method, recorder, information = _method(resource)
    return Choice(
        patient=patient,
        scope=_scope(resource, provision, sender),
        say=_say(resource, provision),
        effective=effective(resource, "dateTime", "Consent"),
        by=_performers(resource, patient),
        method=method,
        recorder=recorder,
        information=information,
        birth_date=_birth_date(resource),
    )


def _check_kind(resource: Json) -> None:
    if not has_code(resource["scope"], codes.CONSENT_SCOPE, codes.PRIVACY_SCOPE):
        raise content(
            "Consent.scope", "Only privacy consents are stated here; treatment limits stay with their source."
        )
    if not any(has_code(one, codes.LOINC, codes.PRIVACY_CATEGORY) for one in resource["category"]):
        raise content("Consent.category", f"The category is {codes.LOINC}|{codes.PRIVACY_CATEGORY}.", Problem.REQUIRED)
    if not has_code(resource.get("policyRule"), codes.ACT_CODE, "OPTIN"):
        raise content("Consent.policyRule", f"The policy rule is {codes.ACT_CODE}|OPTIN.", Problem.REQUIRED)


def _say(resource: Json, provision: Json) -> Say:
    said = SAYS.get((resource.get("status", ""), provision.get("type", "")))
    if said is None:
        raise content("Consent.provision.type", "An active or inactive consent permits or denies.", Problem.REQUIRED)
    return said


# --- scope -----------------------------------------------------------------------------------------------------------


def _scope(resource: Json, provision: Json, sender: Ura | None) -> Scope:
    return Scope(
        custodian=_custodian(resource, sender),
        categories=_categories(provision),
        requesters=_requesters(provision),
        emergency_only=_emergency_only(provision),
    )


def _custodian(resource: Json, sender: Ura | None) -> Ura | None:
    organisations = resource.get("organization", [])
    if len(organisations) > 1:
        raise content("Consent.organization", "A consent names one custodian, or none for all.")
    named = _ura(organisations[0].get("identifier", {}), "Consent.organization[0]") if organisations else None
    if sender is not None and named != sender:
        sentence = "A custodian states consents for itself only."
        raise BadRequest(403, "not-authorised", sentence, "Consent.organization")
    return named


def _ura(identifier: Json, path: str) -> Ura:
    try:
        if identifier.get("system") == URA_SYSTEM:
            return Ura(identifier.get("value", ""))
    except InvalidIdentifier:
        pass
    raise content(path, "An organisation is named by its URA.")


def _categories(provision: Json) -> frozenset[Category] | None:
    if "class" not in provision:
        return None
    found = [
        category_word(one.get("code", "")) if one.get("system") in codes.CATEGORY_SYSTEMS else None
        for one in provision["class"]
    ]
    if None in found or Category.ENROLMENT in found:
        raise content("Consent.provision.class", f"Consent is given per category of {codes.DATA_CATEGORY}.")
    return frozenset(one for one in found if one is not None)


def _requesters(provision: Json) -> frozenset[str] | None:
    if "actor" not in provision:
        return None
    return frozenset(_requester(actor, f"Consent.provision.actor[{i}]") for i, actor in enumerate(provision["actor"]))


def _requester(actor: Json, path: str) -> str:
    if not has_code(actor["role"], codes.PARTICIPATION, "IRCP"):
        raise content(f"{path}.role", f"The role is {codes.PARTICIPATION}|IRCP.")
    identifier = actor["reference"].get("identifier", {})
    if identifier.get("system") != codes.REQUESTER_GROUP:
        return _ura(identifier, f"{path}.reference").digits
    if identifier.get("value") not in set(Group):
        raise content(f"{path}.reference", f"This is not a group of {codes.REQUESTER_GROUP}.")
    return str(identifier["value"])


def _emergency_only(provision: Json) -> bool:
    if "purpose" not in provision:
        return False
    purposes = {(one.get("system"), one.get("code")) for one in provision["purpose"]}
    if not purposes <= {(codes.ACT_REASON, "ETREAT"), (codes.ACT_REASON, "TREAT")}:
        raise content("Consent.provision.purpose", "The purpose is ETREAT for emergencies only, or absent.")
    if purposes == {(codes.ACT_REASON, "TREAT")}:
        raise content("Consent.provision.purpose", "A consent for everything but emergencies is not offered.")
    return purposes == {(codes.ACT_REASON, "ETREAT")}


# --- who and how -----------------------------------------------------------------------------------------------------


def _performers(resource: Json, patient: Bsn) -> frozenset[Party]:
    """Who stated: the patient where nobody is named."""
    performers = resource.get("performer", [])
    found = [_party(resource, one, patient, f"Consent.performer[{i}]") for i, one in enumerate(performers)]
    return frozenset(found or [Party.PATIENT])


def _party(resource: Json, performer: Json, patient: Bsn, path: str) -> Party:
    related = contained_at(resource, performer, "RelatedPerson")
    if related is not None:
        return _relation(resource, related, patient, path)
    if not _is_patient(resource, performer, patient):
        raise content(path, "A performer is the patient, or a contained RelatedPerson.")
    return Party.PATIENT


def _relation(resource: Json, related: Json, patient: Bsn, path: str) -> Party:
    if not _is_patient(resource, related["patient"], patient):
        raise content(path, "The RelatedPerson is somebody of another patient.")
    said = {
        one.get("code", "") for concept in related.get("relationship", []) for one in codings(concept, codes.ROLE_CODE)
    }
    parties = {PARTIES[code] for code in said if code in PARTIES}
    if len(parties) != 1:
        raise content(path, f"The relationship is one of {', '.join(PARTIES)} in {codes.ROLE_CODE}.")
    return parties.pop()


def _is_patient(resource: Json, reference: Json, patient: Bsn) -> bool:
    """Whether a reference means the patient: by BSN, or by the contained Patient, which may not say otherwise."""
    identifier = reference.get("identifier")
    if identifier is not None and not _is_ours(identifier, patient):
        return False
    held = contained_at(resource, reference, "Patient")
    if held is None:
        return identifier is not None and "reference" not in reference
    return all(_is_ours(one, patient) for one in held.get("identifier", []) if one.get("system") == BSN_SYSTEM)


def _is_ours(identifier: Json, patient: Bsn) -> bool:
    return identifier.get("system") == BSN_SYSTEM and identifier.get("value") == patient.digits


def _birth_date(resource: Json) -> date | None:
    """The day of birth in the one contained Patient, if it is there; the latest one where only a year is known."""
    patients = [one for one in resource.get("contained", []) if one["resourceType"] == "Patient"]
    if len(patients) > 1:
        raise content("Consent.contained", "A consent is about one patient.")
    if patients and not _is_patient(resource, {"reference": f"#{patients[0]['id']}"}, _patient(resource)):
        raise content("Consent.contained", "The contained Patient is not the patient of this consent.")
    born = patients[0].get("birthDate") if patients else None
    try:
        return moments.youngest(born) if born else None
    except ValueError:
        raise content("Consent.contained", "This is not a date of birth.") from None


def _patient(resource: Json) -> Bsn:
    return patient_of(resource, "patient", "Consent")


def _method(resource: Json) -> tuple[Method, str, str]:
    """How, who recorded it, on which information: from the extension, written by default."""
    found = [one for one in resource.get("extension", []) if one["url"] == codes.CONSENT_METHOD]
    if len(found) > 1:
        raise content("Consent.extension", "A consent was given in one way.")
    parts = {one["url"]: one for one in found[0].get("extension", [])} if found else {}
    if not parts.keys() <= {"method", "recorder", "information"}:
        raise refuse(422, Problem.NOT_SUPPORTED, "Consent.extension")
    said = _text(parts.get("method")) or Method.WRITTEN
    if said not in set(Method):
        raise content("Consent.extension", "The method is written, verbal or online.")
    return Method(said), _text(parts.get("recorder")), _text(parts.get("information"))


def _text(part: Json | None) -> str:
    if part is None:
        return ""
    identifier = part.get("valueIdentifier") or part.get("valueReference", {}).get("identifier", {})
    return str(part.get("valueString") or part.get("valueCode") or identifier.get("value", ""))
