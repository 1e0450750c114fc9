"""Are the test persons lawful, and are their records good FHIR that shows what each view may show and no more?"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given
from hypothesis import strategies as st
from sources_at_hand import BSN, BSN_SYSTEM, NOW, written

from source_sim import faults, medicine, population, records
from source_sim.population import Profile
from source_sim.records import Instance, Proof, Record, View

ENDPOINT = "https://gp.test/fhir"
PRACTICE = records.instance(medicine.organization("practice-1", "90000001", "De Test"))
SENTINELS = [
    "all-open", "objected", "undecided", "latent", "withdrawn", "unknown", "gp-only", "pharmacy-only",
    "hospital-objected", "emergency-only", "slow-pharmacy", "down-gp", "garbage-pharmacy", "wrong-patient", "two-gps",
    "two-pharmacies-one-objected", "contradictory-limits", "withholding-gp", "minor-11", "minor-14",
    "parent-consent-now-16", "no-gp-of-record", "large-record", "empty-record",
]  # fmt: skip
DAYS = st.dates(date(2001, 1, 1), date(2090, 12, 31))


def document(record: Record, view: View, now: datetime = NOW) -> dict[str, Any]:
    made = records.document(record, view, now=now, endpoint=ENDPOINT, practice=PRACTICE)
    assert made is not None
    bundle: dict[str, Any] = json.loads(made.text)
    return bundle


def resources(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"]]


# --- persons ---------------------------------------------------------------------------------------------------------


def test_every_sentinel_has_a_person_with_a_number_of_the_simulation_s_own_range() -> None:
    named = population.persons(NOW.date())
    assert [one.key for one in named] == SENTINELS
    assert len({one.bsn for one in named}) == len(named)
    assert all(population.is_bsn(one.bsn) and "999900000" <= one.bsn <= "999949999" for one in named)
    assert all(one.family.startswith("Test") for one in named)


@given(DAYS)
def test_some_persons_never_grow_older(today: date) -> None:
    ages = {one.key: (today - one.birth_date).days / 365.25 for one in population.persons(today)}
    assert [int(ages[key]) for key in ("minor-11", "minor-14", "parent-consent-now-16")] == [11, 14, 16]


@pytest.mark.parametrize(
    ("digits", "good"),
    [
        pytest.param("999900006", True, id="passes"),
        pytest.param("111222333", True, id="passes-outside-the-test-range"),
        pytest.param("999940003", False, id="known-to-fail"),
        pytest.param("000000000", False, id="zeros"),
        pytest.param("99990000", False, id="eight-digits"),
        pytest.param("99990000６", False, id="a-wide-digit"),
        pytest.param("9999O0006", False, id="a-letter"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_eleven_test(digits: str, good: bool) -> None:
    assert population.is_bsn(digits) is good


CROWD = [one.bsn for one in population.crowd(2500, NOW.date())]


@given(st.sampled_from(CROWD), st.integers(0, 8), st.integers(1, 9))
def test_one_wrong_digit_never_passes(good: str, place: int, more: int) -> None:
    wrong = good[:place] + str((int(good[place]) + more) % 10) + good[place + 1 :]
    assert population.is_bsn(good)
    assert not population.is_bsn(wrong)


def test_the_crowd_is_distinct_repeatable_and_bounded() -> None:
    crowd = list(population.crowd(500, NOW.date()))
    assert crowd == list(population.crowd(500, NOW.date()))
    named = {one.bsn for one in population.persons(NOW.date())}
    assert len({one.bsn for one in crowd} - named - {faults.SOMEBODY_ELSE}) == 500
    assert population.person(crowd[7].bsn, NOW.date()) == crowd[7]
    with pytest.raises(ValueError, match="test range"):
        population.crowd(100_000, NOW.date())


def test_a_person_never_prints_her_number() -> None:
    assert BSN not in repr(population.person(BSN, NOW.date()))
    with pytest.raises(ValueError, match="eleven-test") as refused:
        population.person("999940003", NOW.date())
    assert "999940003" not in str(refused.value)


# --- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proof", Proof)
@pytest.mark.parametrize("profile", Profile)
def test_every_resource_is_good_fhir(profile: Profile, proof: Proof) -> None:
    record = written(profile, proof)
    everything = (*record.patients, *record.instances[:150], *record.shared.values())
    for one in everything:
        get_fhir_model_class(one.resource_type).model_validate_json(one.text)
    assert len({one.key for one in everything}) == len(everything)
    assert not any(BSN in one.key for one in everything)


def test_a_typical_record_holds_every_kind_of_fact() -> None:
    record = written(Profile.TYPICAL)
    kinds = {one.resource_type for one in (*record.patients, *record.instances, *record.shared.values())}
    assert kinds == {
        "Patient", "Practitioner", "Condition", "EpisodeOfCare", "Encounter", "Composition", "Observation",
        "MedicationDispense", "MedicationRequest", "MedicationStatement", "Medication", "AllergyIntolerance", "Flag",
        "Consent",
    }  # fmt: skip
    assert {one.body["status"] for one in record.instances if one.key.startswith("Episode")} == {"active", "finished"}
    categories = {json.dumps(one.body["category"]) for one in record.instances if one.resource_type.startswith("Med")}
    assert all(code in str(categories) for code in ("373784005", "422037009", "33633005", "422979000"))


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_records() -> None:
    assert written(Profile.TYPICAL) == written(Profile.TYPICAL)
    keys = [{one.key for one in written(Profile.TYPICAL, seed=seed).instances} for seed in (1, 2)]
    assert not keys[0] & keys[1]


@pytest.mark.parametrize("proof", Proof)
def test_every_instance_names_its_patient_in_the_chosen_way(proof: Proof) -> None:
    record = written(Profile.TYPICAL, proof)
    named = [one.body.get("subject") or one.body["patient"] for one in record.instances]
    by_number = {"type": "Patient", "identifier": {"system": BSN_SYSTEM, "value": BSN}}
    by_reference = {"reference": record.patients[0].key}
    assert all(each == (by_reference if proof is Proof.REFERENCE else by_number) for each in named)


def test_measurements_keep_the_zeros_they_were_written_with() -> None:
    lines = [one.text.decode() for one in written(Profile.TYPICAL).instances if one.resource_type == "Observation"]
    glucose = [line for line in lines if '"mmol/L"' in line]
    assert glucose
    assert all(json.loads(line, parse_float=str)["valueQuantity"]["value"].endswith("0") for line in glucose)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4))
def test_a_decimal_is_written_digit_by_digit(value: Decimal) -> None:
    text = medicine.encode({"value": value})
    assert text == f'{{"value":{value:f}}}'
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal)["value"] == value


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=9)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner), max_leaves=9))
def test_everything_else_is_written_as_json(value: object) -> None:
    assert json.loads(medicine.encode(value)) == value


def test_a_float_has_no_digits_of_its_own() -> None:
    with pytest.raises(TypeError, match="float"):
        medicine.encode([{"value": 0.1}])


@pytest.mark.parametrize(
    ("profile", "active"),
    [
        pytest.param(Profile.TYPICAL, ["deny", "other", "permit"], id="typical-has-one-of-each"),
        pytest.param(Profile.LIMITS_PERMIT, ["permit"], id="permit"),
        pytest.param(Profile.LIMITS_DENY, ["deny"], id="deny"),
        pytest.param(Profile.CONTRADICTORY_LIMITS, ["deny", "permit"], id="both"),
        pytest.param(Profile.MINIMAL, [], id="none"),
    ],
)
def test_treatment_limits(profile: Profile, active: list[str]) -> None:
    limits = [one.body for one in written(profile).instances if one.resource_type == "Consent"]
    directives = [one for one in limits if one["scope"]["coding"][0]["code"] == "treatment"]
    now = [one for one in directives if one["status"] == "active"]
    assert sorted(one["provision"].get("type", "other") for one in now) == active
    for one in now:
        assert ("type" in one["provision"]) is not ("modifierExtension" in one)
    assert len(directives) - len(now) == bool(active)


# --- views -----------------------------------------------------------------------------------------------------------

EVERYTHING = [(profile, view) for profile in Profile if profile is not Profile.EMPTY for view in View]


@pytest.mark.parametrize(("profile", "view"), EVERYTHING)
def test_a_summary_is_a_document_with_every_reference_inside(profile: Profile, view: View) -> None:
    bundle = document(written(profile), view)
    first = bundle["entry"][0]["resource"]
    assert (bundle["type"], first["resourceType"]) == ("document", "Composition")
    assert first["type"]["coding"][0]["code"] == "60591-5"
    inside = [entry["fullUrl"] for entry in bundle["entry"]]
    named = {f"{ENDPOINT}/{one['reference']}" for one in records.references(bundle) if "reference" in one}
    assert len(set(inside)) == len(inside)
    assert named <= set(inside)
    assert inside == [f"{ENDPOINT}/{one['resourceType']}/{one['id']}" for one in resources(bundle)]
    subject = next(one for one in resources(bundle) if f"Patient/{one['id']}" == first["subject"]["reference"])
    assert {"system": BSN_SYSTEM, "value": BSN} in subject["identifier"]


@pytest.mark.parametrize(("profile", "view"), EVERYTHING)
def test_treatment_limits_and_closed_episodes_are_never_in_a_summary(profile: Profile, view: View) -> None:
    inside = resources(document(written(profile), view))
    assert not [one for one in inside if one["resourceType"] == "Consent"]
    assert {one["status"] for one in inside if one["resourceType"] == "EpisodeOfCare"} == {"active"}


@pytest.mark.parametrize("view", View)
def test_a_summary_is_good_fhir(view: View) -> None:
    get_fhir_model_class("Bundle").model_validate(document(written(Profile.TYPICAL), view))


def test_the_note_is_for_the_covering_gp_alone() -> None:
    first = {view: resources(document(written(Profile.TYPICAL), view))[0] for view in View}
    titles = {view: [part["title"] for part in first[view]["section"]] for view in View}
    assert "Voor de waarnemer" in titles[View.COVERING]
    assert "Voor de waarnemer" not in titles[View.ACUTE]


def test_an_empty_record_makes_no_summary_and_a_large_one_is_about_a_megabyte() -> None:
    empty = written(Profile.EMPTY)
    assert records.document(empty, View.COVERING, now=NOW, endpoint=ENDPOINT, practice=PRACTICE) is None
    large = records.document(written(Profile.LARGE), View.COVERING, now=NOW, endpoint=ENDPOINT, practice=PRACTICE)
    assert large is not None
    assert 800_000 < len(large.text) < 1_600_000


def _dated(kind: str, last: date | None) -> Instance:
    return Instance(kind, f"{kind}/x", b"{}", {"resourceType": kind}, last)


TODAY = NOW.date()
TEN, ELEVEN = TODAY - timedelta(days=10), TODAY - timedelta(days=11)
FOUR_MONTHS, EARLIER = date(2026, 7, 21), date(2026, 7, 20)


@pytest.mark.parametrize(
    ("kind", "last", "shown"),
    [
        pytest.param("Encounter", TEN, {View.ACUTE, View.COVERING}, id="contact-ten-days-ago"),
        pytest.param("Encounter", ELEVEN, {View.COVERING}, id="contact-eleven-days-ago"),
        pytest.param("Composition", FOUR_MONTHS, {View.COVERING}, id="report-four-months-ago"),
        pytest.param("Encounter", EARLIER, set(), id="contact-before-that"),
        pytest.param("Observation", TEN, {View.ACUTE, View.COVERING}, id="measurement-of-those-days"),
        pytest.param("Observation", ELEVEN, {View.COVERING}, id="recent-measurement"),
        pytest.param("Observation", EARLIER, set(), id="old-measurement"),
        pytest.param("EpisodeOfCare", None, {View.ACUTE, View.COVERING}, id="open-episode"),
        pytest.param("EpisodeOfCare", TODAY, set(), id="closed-episode"),
        pytest.param("Condition", TODAY, set(), id="condition-of-a-closed-episode"),
        pytest.param("MedicationDispense", FOUR_MONTHS, {View.ACUTE, View.COVERING}, id="dispensed-four-months-ago"),
        pytest.param("MedicationDispense", EARLIER, {View.COVERING}, id="dispensed-before-that"),
        pytest.param("MedicationStatement", None, {View.ACUTE, View.COVERING}, id="still-in-use"),
        pytest.param("AllergyIntolerance", None, {View.ACUTE, View.COVERING}, id="allergy"),
        pytest.param("Flag", None, {View.ACUTE, View.COVERING}, id="contra-indication"),
        pytest.param("Consent", None, set(), id="treatment-limit"),
    ],
)
def test_what_a_view_shows(kind: str, last: date | None, shown: set[View]) -> None:
    record = Record((), (_dated(kind, last),), {})
    assert {view for view in View if records.chosen(record, view, NOW)} == shown


@pytest.mark.parametrize(
    ("day", "months", "earlier"),
    [
        pytest.param(date(2026, 11, 21), 4, date(2026, 7, 21), id="plain"),
        pytest.param(date(2026, 3, 31), 4, date(2025, 11, 30), id="shorter-month"),
        pytest.param(date(2024, 6, 30), 4, date(2024, 2, 29), id="leap-day"),
        pytest.param(date(2026, 4, 1), 4, date(2025, 12, 1), id="into-december"),
        pytest.param(date(2026, 1, 15), 12, date(2025, 1, 15), id="a-year"),
    ],
)
def test_months_before(day: date, months: int, earlier: date) -> None:
    assert records.months_before(day, months) == earlier


def test_views_follow_the_day_they_are_asked_on() -> None:
    record = written(Profile.TYPICAL)
    later = datetime(2027, 11, 21, tzinfo=UTC)
    kinds = {one["resourceType"] for one in resources(document(record, View.ACUTE, later))}
    assert "Encounter" not in kinds
    assert "EpisodeOfCare" in kinds
