"""Are real instances served byte for byte, each to its own patient only, and is the rest reported?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources_at_hand import (
    BSN,
    BSN_SYSTEM,
    GATEWAY_URA,
    ISSUER,
    JWKS,
    NOW,
    OTHER_BSN,
    TYPES,
    Pki,
    ask,
    call,
    country,
    gateway,
    system,
)

from source_sim import folder
from source_sim.folder import Folder, Why
from source_sim.offered import Kind
from source_sim.serving import Config

REAL = Path(os.environ.get("SWITCHPOINT_RECORDS") or Path(__file__).parents[3] / "shared" / "data" / "zib2020")
Body = dict[str, Any]

# --- the real folder -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Folder:
    assert REAL.is_dir(), f"no real instances in {REAL}: set SWITCHPOINT_RECORDS"
    return folder.load(REAL)


async def answers(found: Folder, kind: Kind, bsn: str) -> dict[str, httpx.Response]:
    one = system(kind, found.records)
    return {resource_type: await ask(one, resource_type, bsn=bsn) for resource_type in TYPES[kind]}


async def test_every_file_is_served_byte_for_byte_or_reported(real: Folder) -> None:
    found = [await answers(real, kind, bsn) for kind in Kind for bsn in real.patients]
    served = b"".join(answer.content for each in found for answer in each.values())
    reported = {each.file for each in real.report}
    for path in (path for path in sorted(REAL.rglob("*")) if path.is_file()):
        inside = path.read_bytes() in served
        assert inside is (path.relative_to(REAL).as_posix() not in reported), path.name
    assert real.patients


async def test_whatever_is_served_says_that_it_is_the_patient_s(real: Folder) -> None:
    for kind in Kind:
        for bsn in real.patients:
            for answer in (await answers(real, kind, bsn)).values():
                for entries in bundles(answer.json()):
                    assert_proven(entries, bsn)


def bundles(searchset: Body) -> list[list[Body]]:
    entries = searchset.get("entry", [])
    inner = [entry["resource"]["entry"] for entry in entries if entry["resource"]["resourceType"] == "Bundle"]
    return inner or [entries]


def assert_proven(entries: list[Body], bsn: str) -> None:
    """Every subject leads, inside the Bundle, to a Patient with the number; no Patient has another."""
    numbers = {
        entry["fullUrl"]: [each["value"] for each in entry["resource"]["identifier"] if each["system"] == BSN_SYSTEM]
        for entry in entries
        if entry["resource"]["resourceType"] == "Patient"
    }
    assert len({entry["fullUrl"] for entry in entries}) == len(entries)
    assert all(found == [bsn] for found in numbers.values())
    for entry in entries:
        subject = entry["resource"].get("subject") or entry["resource"].get("patient")
        if subject is not None and "reference" in subject:
            base = entry["fullUrl"].rsplit("/", 2)[0]
            absolute = subject["reference"] if ":" in subject["reference"] else f"{base}/{subject['reference']}"
            assert absolute in numbers, entry["fullUrl"]


async def test_limits_come_as_their_own_category_and_never_in_the_summary(real: Folder) -> None:
    found = [await answers(real, Kind.GP_PRACTICE, bsn) for bsn in real.patients]
    consents = [entry for each in found for entry in each["Consent"].json().get("entry", [])]
    summaries = [part for each in found for part in bundles(each["Bundle"].json())]
    inside = [entry["resource"]["resourceType"] for part in summaries for entry in part]
    assert "Consent" in {entry["resource"]["resourceType"] for entry in consents}
    assert "Consent" not in inside


async def test_a_running_source_serves_the_folder_and_tells_what_it_left_out(tmp_path: Path, real: Folder) -> None:
    pki = Pki(tmp_path)
    entry = pki.entry("pharmacy", records=str(REAL), patients=[{"bsn": BSN}])
    whole = {"systems": [entry], "gateway_ura": GATEWAY_URA, "issuer": ISSUER, "jwks": JWKS}
    config = msgspec.json.decode(json.dumps(whole), type=Config)
    async with country(config) as (control, bases), gateway(pki) as web:
        found = [await call(web, bases["90000001"], "Flag", bsn) for bsn in (*real.patients, BSN)]
        listing = (await control.get("/systems")).json()["systems"][0]
    flags = [one.text for record in real.records.values() for one in record.instances if one.resource_type == "Flag"]
    assert flags
    assert all(any(text in answer.content for answer in found) for text in flags)
    assert found[-1].json()["total"] == 1
    assert listing["unserved"] == [{"file": one.file, "resource": one.resource, "why": one.why} for one in real.report]


# --- folders made by hand --------------------------------------------------------------------------------------------


def patient(identity: str = "p", *numbers: str, **more: Any) -> Body:
    known = [{"system": BSN_SYSTEM, "value": number} for number in numbers or (BSN,)]
    return {"resourceType": "Patient", "id": identity, "identifier": known, **more}


def flag(identity: str = "f", reference: str = "Patient/p", **more: Any) -> Body:
    return {"resourceType": "Flag", "id": identity, "status": "active", "subject": {"reference": reference}, **more}


def by_number(bsn: str) -> Body:
    return {"identifier": {"system": BSN_SYSTEM, "value": bsn}}


def put(directory: Path, *files: Body | bytes) -> Folder:
    for number, content in enumerate(files):
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (directory / f"{number}.json").write_bytes(text)
    return folder.load(directory)


def reasons(found: Folder) -> dict[str, Why]:
    return {each.file: each.why for each in found.report}


def kept(found: Folder, bsn: str = BSN) -> list[str]:
    return [one.key for one in found.records[bsn].instances]


OTHER = patient("q", OTHER_BSN)
NAMELESS = {"resourceType": "Patient", "id": "n"}


@pytest.mark.parametrize(
    ("instance", "why"),
    [
        pytest.param(flag(), None, id="by-reference"),
        pytest.param(flag(subject=by_number(BSN)), None, id="by-number"),
        pytest.param(flag(reference="Patient/p/_history/3"), None, id="by-versioned-reference"),
        pytest.param(flag(subject={"reference": "Patient/p", **by_number(BSN)}), None, id="both-ways"),
        pytest.param(
            {"resourceType": "Immunization", "id": "i", "patient": {"reference": "Patient/p"}},
            None,
            id="patient-element",
        ),
        pytest.param(flag(subject={"display": "somebody"}), Why.NO_PATIENT, id="nobody"),
        pytest.param(flag(reference="Group/g"), Why.NO_PATIENT, id="a-group"),
        pytest.param(flag(reference="#p", contained=[patient("p")]), Why.NO_PATIENT, id="only-a-contained-patient"),
        pytest.param(flag(reference="Patient/z"), Why.UNKNOWN_PATIENT, id="a-patient-elsewhere"),
        pytest.param(flag(reference="https://x.test/Patient/p"), Why.UNKNOWN_PATIENT, id="the-same-id-elsewhere"),
        pytest.param(flag(reference="Patient/n"), Why.NO_BSN, id="a-patient-without-number"),
        pytest.param(
            flag(subject={"reference": "Patient/p", **by_number(OTHER_BSN)}), Why.OTHER_PATIENT, id="two-at-once"
        ),
        pytest.param(flag(author={"reference": "Patient/q"}), Why.OTHER_PATIENT, id="written-by-another-patient"),
        pytest.param(flag(author=by_number(OTHER_BSN)), Why.OTHER_PATIENT, id="another-number"),
        pytest.param(flag(author={"reference": "Patient/z"}), Why.OTHER_PATIENT, id="an-unknown-second-patient"),
        pytest.param(flag(contained=[patient("c", OTHER_BSN)]), Why.OTHER_PATIENT, id="another-contained"),
        pytest.param(flag(contained=[flag("c", "Patient/q")]), Why.OTHER_PATIENT, id="another-in-a-contained-resource"),
        pytest.param(
            flag(extension=[{"url": "u", "valueReference": {"reference": "Patient/q"}}]),
            Why.OTHER_PATIENT,
            id="another-in-an-extension",
        ),
        pytest.param(flag(patient={"reference": "Patient/q"}), Why.OTHER_PATIENT, id="a-second-subject"),
        pytest.param(
            {"resourceType": "Coverage", "id": "c", "beneficiary": {"reference": "Patient/p"}},
            Why.NO_CATEGORY,
            id="insurance",
        ),
        pytest.param(
            {
                "resourceType": "Consent",
                "id": "c",
                "patient": {"reference": "Patient/p"},
                "scope": {"coding": [{"code": "patient-privacy"}]},
            },
            Why.NO_CATEGORY,
            id="privacy-consent",
        ),
        pytest.param(
            {
                "resourceType": "Consent",
                "id": "c",
                "patient": {"reference": "Patient/p"},
                "scope": {"coding": [{"code": "adr"}]},
            },
            None,
            id="a-will",
        ),
        pytest.param(
            {"resourceType": "Practitioner", "id": "d", "extension": [{"valueReference": {"reference": "Patient/q"}}]},
            Why.NO_PATIENT,
            id="nobody-s-but-naming-one",
        ),
        pytest.param(b"not json", Why.NOT_JSON, id="text"),
        pytest.param(b'{"resourceType":"Flag","id":"f","id":"f"}', Why.NOT_JSON, id="a-name-repeated"),
        pytest.param(b'{"resourceType":"Flag","x":NaN}', Why.NOT_JSON, id="nan"),
        pytest.param('{"resourceType":"Flag"}'.encode("utf-16"), Why.NOT_JSON, id="utf-16"),
        pytest.param(b"[" * 100_000, Why.NOT_JSON, id="a-deep-hole"),
        pytest.param(b"[]", Why.NOT_FHIR, id="a-list-file"),
        pytest.param(b'{"resourceType":"../x"}', Why.NOT_FHIR, id="no-type"),
        pytest.param(b'{"resourceType":"Bundle","entry":{}}', Why.NOT_FHIR, id="a-bundle-of-nothing"),
        pytest.param(flag("same"), Why.REPEATED, id="a-second-copy"),
    ],
)
def test_one_file_among_others(tmp_path: Path, instance: Body | bytes, why: Why | None) -> None:
    found = put(tmp_path, patient(), OTHER, NAMELESS, flag("same"), instance)
    assert reasons(found).get("4.json") == why
    assert len(kept(found)) == 1 + (why is None)
    assert kept(found, OTHER_BSN) == []


@pytest.mark.parametrize(
    ("record", "served"),
    [
        pytest.param(patient(), True, id="as-it-should-be"),
        pytest.param(patient("p", BSN, BSN), True, id="the-same-number-twice"),
        pytest.param(patient("p", BSN, OTHER_BSN), False, id="two-numbers"),
        pytest.param(patient("p", "999940003"), False, id="no-number-at-all"),
        pytest.param(patient("p", identifier="none"), False, id="nonsense"),
        pytest.param(patient("p", link=[{"other": {"reference": "Patient/q"}}]), False, id="linked-to-another"),
    ],
)
def test_a_patient_needs_one_number(tmp_path: Path, record: Body, served: bool) -> None:
    found = put(tmp_path, OTHER, record)
    assert (BSN in found.patients) is served
    assert ("1.json" in reasons(found)) is not served


BUNDLE = """
{ "resourceType" : "Bundle", "type":"collection", "entry" : [
 {"fullUrl":"urn:uuid:0a", "resource":   { "resourceType":"Patient", "identifier":[%s],   "active":true }  },
 {"fullUrl":"urn:uuid:0b", "resource": {"resourceType":"Flag","status":"on","subject":{"reference":"urn:uuid:0a"} }},
 {"fullUrl":"https://x.test/r4/Patient/7", "resource": {"resourceType":"Patient","id":"7","identifier":[%s]}},
 {"fullUrl":"https://x.test/r4/Flag/8",
  "resource": {"resourceType":"Flag","id":"8","subject":{"reference":"Patient/7"}}},
 {"request":{"method":"GET","url":"x"}},
 {"resource":{"resourceType":"Bundle","entry":[
  {"resource":{"resourceType":"Flag","id":"9","subject":{"reference":"urn:uuid:0a"}}}]}}
]}"""


async def test_instances_inside_bundles_keep_their_names_and_bytes(tmp_path: Path) -> None:
    numbers = [json.dumps({"system": BSN_SYSTEM, "value": bsn}) for bsn in (BSN, OTHER_BSN)]
    found = put(tmp_path, (BUNDLE % tuple(numbers)).encode())
    assert found.report == ()
    for bsn, flags, text in (
        (
            BSN,
            ["urn:uuid:0b", "https://gp.test/fhir/Flag/9"],
            b'"status":"on","subject":{"reference":"urn:uuid:0a"} }',
        ),
        (OTHER_BSN, ["https://x.test/r4/Flag/8"], b'"id":"8","subject":{"reference":"Patient/7"}}'),
    ):
        answer = await ask(system(Kind.PHARMACY, found.records), "Flag", bsn=bsn)
        entries = answer.json()["entry"]
        assert [each["fullUrl"] for each in entries if each["search"]["mode"] == "match"] == flags
        assert text in answer.content
        summary = (await ask(system(Kind.GP_PRACTICE, found.records), "Bundle", bsn=bsn)).json()
        assert_subjects_inside(summary["entry"][0]["resource"]["entry"])


def assert_subjects_inside(entries: list[Body]) -> None:
    composed = entries[0]["resource"]
    inside = {entry["fullUrl"].removeprefix("https://gp.test/fhir/") for entry in entries}
    named = [composed["subject"], *(each for part in composed["section"] for each in part["entry"])]
    assert {each["reference"] for each in named} <= inside


async def test_a_byte_order_mark_is_dropped_and_outer_whitespace_kept(tmp_path: Path) -> None:
    text = b"\r\n" + json.dumps(flag(), indent=3).encode() + b" \n\n"
    found = put(tmp_path, patient(), b"\xef\xbb\xbf" + text)
    answer = await ask(system(Kind.PHARMACY, found.records), "Flag")
    assert text in answer.content
    assert b"\xef\xbb\xbf" not in answer.content


async def test_what_is_nobody_s_travels_with_whoever_refers_to_it(tmp_path: Path) -> None:
    def nobody(kind: str, identity: str, **more: Any) -> Body:
        return {"resourceType": kind, "id": identity, **more}

    role = nobody("PractitionerRole", "r", practitioner={"reference": "Practitioner/d"})
    request = {
        "resourceType": "MedicationRequest", "id": "m", "subject": {"reference": "Patient/p"},
        "requester": {"reference": "PractitionerRole/r"}, "medicationReference": {"reference": "Medication/x"},
    }  # fmt: skip
    kin = {"resourceType": "RelatedPerson", "id": "k", "patient": {"reference": "Patient/p"}}
    files = (
        patient(),
        role,
        nobody("Practitioner", "d"),
        nobody("Practitioner", "e"),
        nobody("Medication", "x"),
        request,
    )
    found = put(tmp_path, *files, kin, flag(author={"reference": "RelatedPerson/k"}), OTHER, flag("g", "Patient/q"))
    summary = (await ask(system(Kind.GP_PRACTICE, found.records), "Bundle")).json()["entry"][0]["resource"]
    inside = {entry["fullUrl"].removeprefix("https://gp.test/fhir/") for entry in summary["entry"][1:]}
    assert inside == {
        "Patient/p", "Organization/practice-90000001", "MedicationRequest/m", "Flag/f", "PractitionerRole/r",
        "Practitioner/d", "Medication/x", "RelatedPerson/k",
    }  # fmt: skip
    form = {"_include": "MedicationRequest:medication"}
    answer = await ask(system(Kind.PHARMACY, found.records), "MedicationRequest", form)
    assert [entry["fullUrl"].rpartition("/fhir/")[2] for entry in answer.json()["entry"]] == [
        "MedicationRequest/m", "Patient/p", "Medication/x",
    ]  # fmt: skip


def test_folders_below_and_other_files_are_seen_and_no_folder_is_an_error(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = put(below, patient(), flag())
    assert kept(found) == ["Flag/f"]
    report = folder.load(tmp_path).report
    assert [(each.file, each.resource, each.why) for each in report] == [("picture.png", "", Why.NOT_JSON)]
    with pytest.raises(NotADirectoryError):
        folder.load(tmp_path / "nothing")


def test_a_patient_never_prints(tmp_path: Path) -> None:
    found = put(tmp_path, patient(), flag(subject=by_number(BSN)), flag("g", subject=by_number(OTHER_BSN)))
    assert BSN not in repr(found)
    assert OTHER_BSN not in repr(found)


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
LAYOUTS = st.fixed_dictionaries({"ensure_ascii": st.booleans(), "indent": st.none() | st.integers(0, 4)})
SPACES = st.text(" \n\r\t", max_size=4)


@given(st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=4), LAYOUTS, SPACES, SPACES)
async def test_any_instance_is_served_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, more: Body, layout: Body, before: str, after: str
) -> None:
    text = (before + json.dumps(more | flag(), **layout) + after).encode()
    found = put(tmp_path_factory.mktemp("any"), patient(), text)
    if kept_or_named(found):
        answer = await ask(system(Kind.PHARMACY, found.records), "Flag")
        assert text in answer.content
        assert len(json.loads(answer.content)["entry"]) == 2


def kept_or_named(found: Folder) -> bool:
    """Text made at random may happen to name somebody else: then it must be reported."""
    assert bool(found.report) is not bool(kept(found))
    return bool(kept(found))


async def test_no_clock_empties_a_folder(real: Folder) -> None:
    sizes = []
    for day in (NOW, NOW.replace(year=2090)):
        one = system(Kind.GP_PRACTICE, real.records, today=lambda day=day: day)
        sizes.append(len((await ask(one, "Bundle", bsn=real.patients[0])).content))
    assert sizes[0] == sizes[1] > 100_000
