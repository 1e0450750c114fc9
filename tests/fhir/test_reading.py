"""Are routes, search forms and headers read as the interface says, and nothing else taken?"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from urllib.parse import quote, urlencode

import pytest
from fhir_made import BAD_BSN, THEM, US
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir import catalogue, codes, headers, moments, reading
from gateway.fhir.catalogue import Match, NotOffered, match
from gateway.fhir.headers import FORM
from gateway.fhir.reading import AuditSearch, ConsentSearch, DirectorySearch, Localise, OwnEntries, search
from gateway.fhir.refusal import BadRequest
from gateway.rules.exchange import AortaId, Category, Query
from gateway.rules.identifiers import APPLICATION_SYSTEM, BSN_SYSTEM, URA_SYSTEM, ApplicationId

P = "patient.identifier"
ME = f"{BSN_SYSTEM}|{US.digits}"
SUMMARY = ("composition.type", "http://loinc.org|60591-5")
LIMITS = ("scope", "treatment,adr")


def interaction(kind: str):
    found = match("POST", f"/fhir/{kind}/_search")
    assert isinstance(found, Match)
    return found.interaction


def ask(kind, *fields, content_type=FORM, query=b"", body=None):
    form = urlencode(fields).encode() if body is None else body
    return search(interaction(kind), form, content_type, query)


# --- routes ----------------------------------------------------------------------------------------------------------

ROUTES = [
    ("GET", "/fhir/metadata", "capabilities", None),
    ("GET", "/fhir/R4/metadata", "capabilities", None),
    ("POST", "/fhir", "batch", None),
    ("POST", "/fhir/", "batch", None),
    ("POST", "/fhir/R4", "batch", None),
    ("POST", "/fhir/List", "create-List", None),
    ("GET", "/fhir/List/a-1.b", "read-List", "a-1.b"),
    ("DELETE", "/fhir/R4/List/a", "delete-List", "a"),
    ("POST", "/fhir/List/_search", "search-List", None),
    ("PUT", "/fhir/Consent/a", "update-Consent", "a"),
    ("POST", "/fhir/Bundle/_search", "search-Bundle", None),
    ("POST", "/fhir/AuditEvent/_search", "search-AuditEvent", None),
    ("GET", "/fhir/AuditEvent/_page/p-1.b", "page-AuditEvent", "p-1.b"),
    ("POST", "/fhir/$explain", "explain", None),
    ("POST", "/fhir/$process-message", "process-message", None),
    ("GET", "/fhir/R4/Task/0b0e2f2a-4b44-4c3b-9c55-1f6f0a7b2d11", "read-Task", "0b0e2f2a-4b44-4c3b-9c55-1f6f0a7b2d11"),
    ("GET", "/fhir/Organization", "list-Organization", None),
    ("GET", "/fhir/Endpoint/1", "read-Endpoint", "1"),
    ("GET", "/fhir/CodeSystem/flag", "read-CodeSystem", "flag"),
]


@pytest.mark.parametrize(("method", "path", "name", "id"), ROUTES, ids=[f"{m} {p}" for m, p, *_ in ROUTES])
def test_offered(method, path, name, id):
    found = match(method, path)
    assert isinstance(found, Match)
    assert (found.interaction.name, found.id) == (name, id)


ABSENT = [
    ("GET", "/fhir/List", 405, ("POST",)),
    ("GET", "/fhir/List/_search", 405, ("POST",)),
    ("PATCH", "/fhir/List/a", 405, ("DELETE", "GET")),
    ("GET", "/fhir/MedicationDispense", 405, ()),
    ("GET", "/fhir/MedicationDispense/1", 405, ()),
    ("GET", "/fhir/MedicationDispense/_search", 405, ("POST",)),
    ("POST", "/fhir/Organization", 405, ("GET",)),
    ("POST", "/fhir/metadata", 405, ("GET",)),
    ("GET", "/fhir", 405, ("POST",)),
    ("GET", "/fhir/Patient/1", 404, ()),
    ("POST", "/fhir/Observation/_search", 404, ()),
    ("GET", "/fhir/Task", 405, ()),
    ("POST", "/fhir/Task/1", 405, ("GET",)),
    ("POST", "/fhir/Task/_search", 405, ()),
    ("GET", "/fhir/DocumentReference/1", 404, ()),
    ("GET", "/fhir/AuditEvent", 405, ()),
    ("POST", "/fhir/AuditEvent/_page/abc", 405, ("GET",)),
    ("GET", "/fhir/AuditEvent/_page/a/b", 404, ()),
    ("GET", "/fhir/$process-message", 405, ("POST",)),
    ("POST", "/fhir/$process-messages", 404, ()),
    ("GET", "/fhir/List/a/_history", 404, ()),
    ("GET", "/fhir/List/a b", 404, ()),
    ("GET", "/fhir/List/../List/a", 404, ()),
    ("GET", "/fhir/" + "List/" * 500, 404, ()),
    ("GET", "/fhirs/metadata", 404, ()),
    ("GET", "/", 404, ()),
    ("GET", "", 404, ()),
]


@pytest.mark.parametrize(("method", "path", "status", "allow"), ABSENT, ids=[f"{m} {p[:40]}" for m, p, *_ in ABSENT])
def test_not_offered(method, path, status, allow):
    assert match(method, path) == NotOffered(status, allow)


def test_explain_exists_in_a_simulation_only():
    assert isinstance(match("POST", "/fhir/$explain", simulation=True), Match)
    assert match("POST", "/fhir/$explain", simulation=False) == NotOffered(404)


def test_every_row_is_found_by_its_own_route_and_named_once():
    for row in catalogue.REGISTRY:
        found = match(row.method, "/fhir/" + row.template.replace("{id}", "x1"))
        assert isinstance(found, Match)
        assert found.interaction is row
    assert len({row.name for row in catalogue.REGISTRY}) == len(catalogue.REGISTRY)


# --- searches that are taken -----------------------------------------------------------------------------------------

TAKEN = {
    "dispenses": ("MedicationDispense", [(P, ME)], Query(Category.MEDICATION, "MedicationDispense", US, P)),
    "dispenses with colon": (
        "MedicationDispense",
        [("patient:identifier", ME)],
        Query(Category.MEDICATION, "MedicationDispense", US, P),
    ),
    "requests by subject, category and include": (
        "MedicationRequest",
        [("_include", "MedicationRequest:medication"), ("subject.identifier", ME), ("category", "http://x.test|1,2")],
        Query(
            Category.MEDICATION,
            "MedicationRequest",
            US,
            P,
            (("category", "http://x.test|1,2"), ("_include", "MedicationRequest:medication")),
        ),
    ),
    "statements, include twice": (
        "MedicationStatement",
        [(P, ME)] + [("_include", "MedicationStatement:medication:Medication")] * 2,
        Query(Category.MEDICATION, "MedicationStatement", US, P, (("_include", "MedicationStatement:medication"),)),
    ),
    "allergies": ("AllergyIntolerance", [(P, ME)], Query(Category.ALLERGIES, "AllergyIntolerance", US, P)),
    "flags with format": ("Flag", [(P, ME), ("_format", "json")], Query(Category.ALLERGIES, "Flag", US, P)),
    "flags with media type as format": (
        "Flag",
        [("subject:identifier", ME), ("_format", "application/fhir+json")],
        Query(Category.ALLERGIES, "Flag", US, P),
    ),
    "summary": (
        "Bundle",
        [("composition.patient.identifier", ME), SUMMARY],
        Query(Category.GP_SUMMARY, "Bundle", US, "composition.patient.identifier", (SUMMARY,)),
    ),
    "summary by subject": (
        "Bundle",
        [SUMMARY, ("composition.subject:identifier", ME)],
        Query(Category.GP_SUMMARY, "Bundle", US, "composition.patient.identifier", (SUMMARY,)),
    ),
    "limits": ("Consent", [(P, ME), LIMITS], Query(Category.TREATMENT_LIMITS, "Consent", US, P, (LIMITS,))),
    "limits, one scope with its system": (
        "Consent",
        [(P, ME), ("scope", codes.CONSENT_SCOPE + "|adr")],
        Query(Category.TREATMENT_LIMITS, "Consent", US, P, (("scope", "adr"),)),
    ),
    "privacy consents": ("Consent", [(P, ME), ("scope", "patient-privacy")], ConsentSearch(US)),
    "localise": ("List", [("subject:identifier", ME)], Localise(US, None)),
    "localise one category": (
        "List",
        [("subject.identifier", ME), ("code", codes.DATA_CATEGORY + "|medication")],
        Localise(US, Category.MEDICATION),
    ),
    "localise by a national word": (
        "List",
        [("patient.identifier", ME), ("code", "BEHAANWIJZING")],
        Localise(US, Category.TREATMENT_LIMITS),
    ),
    "own entries": (
        "List",
        [("source:Device.identifier", APPLICATION_SYSTEM + "|400001")],
        OwnEntries(ApplicationId("400001")),
    ),
    "audit": ("AuditEvent", [(P, ME)], AuditSearch(US, None, None, None)),
    "audit in a window": (
        "AuditEvent",
        [(P, ME), ("date", "ge2026-01-01"), ("date", "lt2026-02-01T00:00:00Z"), ("_count", "5000")],
        AuditSearch(
            US,
            datetime(2026, 1, 1, tzinfo=moments.HERE),
            datetime(2026, 2, 1, tzinfo=timezone.utc),  # noqa: UP017
            reading.MAX_COUNT,
        ),
    ),
}


@pytest.mark.parametrize(("kind", "fields", "word"), TAKEN.values(), ids=TAKEN.keys())
def test_taken(kind, fields, word):
    assert ask(kind, *fields) == word


def test_charset_and_format_in_the_url_are_taken():
    word = ask("Flag", (P, ME), content_type=FORM + "; charset=UTF-8", query=b"_format=application/fhir%2Bjson")
    assert word == Query(Category.ALLERGIES, "Flag", US, P)


def test_the_directory_is_read_by_get():
    found = match("GET", "/fhir/Organization")
    assert isinstance(found, Match)
    assert search(found.interaction, b"", None, b"") == DirectorySearch("Organization", None)
    query = urlencode({"identifier": URA_SYSTEM + "|90000401"}).encode()
    assert search(found.interaction, b"", None, query) == DirectorySearch("Organization", (URA_SYSTEM, "90000401"))


# --- searches that are refused ---------------------------------------------------------------------------------------

REFUSED = {
    "no patient": ("Flag", [], 400, "required"),
    "no scope": ("Consent", [(P, ME)], 400, "required"),
    "no document type": ("Bundle", [("composition.patient.identifier", ME)], 400, "required"),
    "neither subject nor source": ("List", [("code", "medication")], 400, "required"),
    "patient of another spelling": ("Bundle", [(P, ME), SUMMARY], 400, "not-supported"),
    "patient twice": ("Flag", [(P, ME), (P, ME)], 400, "invalid-parameter"),
    "patient twice, spelled differently": ("Flag", [(P, ME), ("subject:identifier", ME)], 400, "invalid-parameter"),
    "two patients in one": ("Flag", [(P, f"{ME},{BSN_SYSTEM}|{THEM.digits}")], 400, "invalid-parameter"),
    "patient without system": ("Flag", [(P, US.digits)], 400, "invalid-parameter"),
    "patient with an empty system": ("Flag", [(P, "|" + US.digits)], 400, "invalid-parameter"),
    "patient by short system": ("Flag", [(P, "bsn|" + US.digits)], 400, "invalid-parameter"),
    "patient failing the eleven-test": ("Flag", [(P, f"{BSN_SYSTEM}|{BAD_BSN}")], 400, "invalid-bsn"),
    "patient with eight digits": ("Flag", [(P, f"{BSN_SYSTEM}|{US.digits[:8]}")], 400, "invalid-bsn"),
    "patient empty": ("Flag", [(P, "")], 400, "invalid-parameter"),
    "patient by reference": ("Flag", [("patient", "Patient/1")], 400, "not-supported"),
    "unknown parameter": ("Flag", [(P, ME), ("status", "active")], 400, "not-supported"),
    "unknown parameter that is a number": ("Flag", [(P, ME), (US.digits, "x")], 400, "not-supported"),
    "unknown modifier": ("Flag", [("patient.identifier:exact", ME)], 400, "not-supported"),
    "count where none is": ("Flag", [(P, ME), ("_count", "1")], 400, "not-supported"),
    "category where none is": ("Flag", [(P, ME), ("category", "x")], 400, "not-supported"),
    "include of something else": (
        "MedicationDispense", [(P, ME), ("_include", "MedicationDispense:performer")], 400, "not-supported"),
    "include of another type": (
        "MedicationDispense", [(P, ME), ("_include", "MedicationRequest:medication")], 400, "not-supported"),
    "include of everything": ("MedicationDispense", [(P, ME), ("_include", "*")], 400, "not-supported"),
    "reverse include": ("MedicationDispense", [(P, ME), ("_revinclude", "x")], 400, "not-supported"),
    "category twice": ("MedicationDispense", [(P, ME), ("category", "a"), ("category", "b")], 400, "invalid-parameter"),
    "category that is no code": ("MedicationDispense", [(P, ME), ("category", "a b")], 400, "invalid-parameter"),
    "category with a hole": ("MedicationDispense", [(P, ME), ("category", "a,,b")], 400, "invalid-parameter"),
    "scopes mixed": ("Consent", [(P, ME), ("scope", "treatment,patient-privacy")], 400, "invalid-parameter"),
    "scope unknown": ("Consent", [(P, ME), ("scope", "research")], 400, "invalid-parameter"),
    "scope of another system": ("Consent", [(P, ME), ("scope", "http://x.test|adr")], 400, "invalid-parameter"),
    "scope twice": ("Consent", [(P, ME), ("scope", "adr"), ("scope", "treatment")], 400, "invalid-parameter"),
    "another document type": (
        "Bundle", [("composition.patient.identifier", ME), ("composition.type", "http://loinc.org|1")], 400,
        "invalid-parameter"),
    "code unknown": ("List", [("subject:identifier", ME), ("code", "zork")], 400, "invalid-parameter"),
    "code of another system": ("List", [("subject:identifier", ME), ("code", "http://x.test|medication")], 400,
                               "invalid-parameter"),
    "code of return messages": ("List", [("subject:identifier", ME), ("code", "return-message")], 400,
                                "invalid-parameter"),
    "own entries of a patient": (
        "List", [("source:Device.identifier", APPLICATION_SYSTEM + "|1"), ("subject:identifier", ME)], 400,
        "not-supported"),
    "own entries of another system of numbers": ("List", [("source:Device.identifier", "x|1")], 400,
                                                 "invalid-parameter"),
    "own entries without a number": ("List", [("source:Device.identifier", APPLICATION_SYSTEM + "|x")], 400,
                                     "invalid-parameter"),
    "audit without patient": ("AuditEvent", [("date", "2026")], 400, "required"),
    "audit date that is none": ("AuditEvent", [(P, ME), ("date", "yesterday")], 400, "invalid-parameter"),
    "audit date at the end of time": ("AuditEvent", [(P, ME), ("date", "9999-12-31")], 400, "invalid-parameter"),
    "audit date with an unknown prefix": ("AuditEvent", [(P, ME), ("date", "ne2026")], 400, "invalid-parameter"),
    "audit count of nothing": ("AuditEvent", [(P, ME), ("_count", "0")], 400, "invalid-parameter"),
    "audit count that is none": ("AuditEvent", [(P, ME), ("_count", "many")], 400, "invalid-parameter"),
    "format XML": ("Flag", [(P, ME), ("_format", "xml")], 406, "not-acceptable"),
    "format of a page": ("Flag", [(P, ME), ("_format", "text/html")], 406, "not-acceptable"),
    "too many fields": ("Flag", [(P, ME)] + [("_format", "json")] * 100, 400, "invalid-parameter"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "status", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(kind, fields, status, code):
    with pytest.raises(BadRequest) as caught:
        ask(kind, *fields)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert US.digits not in f"{caught.value} {caught.value.path}"
    assert caught.value.__cause__ is None


BROKEN_FORMS = {
    "not UTF-8": b"patient.identifier=%ff",
    "not UTF-8 raw": b"patient.identifier=\xff",
    "half an escape": b"patient.identifier=%4",
    "wrong escape": b"patient.identifier=%zz",
    "no value": b"patient.identifier",
    "JSON": b'{"patient": 1}',
}


@pytest.mark.parametrize("body", BROKEN_FORMS.values(), ids=BROKEN_FORMS.keys())
def test_broken_forms(body):
    with pytest.raises(BadRequest) as caught:
        ask("Flag", body=body)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "kind", [None, "", "application/json", "multipart/form-data", "text/plain", FORM + ";charset=latin1"]
)
def test_other_media_types(kind):
    with pytest.raises(BadRequest) as caught:
        ask("Flag", (P, ME), content_type=kind)
    assert caught.value.status == 415


BSN_URLS = {
    "as parameter": urlencode([(P, ME)]).encode(),
    "bare": f"x={US.digits}".encode(),
    "escaped": b"x=" + b"".join(b"%%%02x" % ord(one) for one in US.digits),
    "as name": f"{US.digits}=1".encode(),
    "system only": b"x=" + quote(BSN_SYSTEM).encode(),
}


@pytest.mark.parametrize("query", BSN_URLS.values(), ids=BSN_URLS.keys())
def test_a_number_in_a_url_is_refused_and_not_echoed(query):
    with pytest.raises(BadRequest) as caught:
        ask("Flag", (P, ME), query=query)
    assert (caught.value.status, caught.value.code) == (400, "bsn-in-url")
    assert US.digits not in f"{caught.value} {caught.value.path}"


def test_other_parameters_in_the_url_of_a_search_are_refused():
    with pytest.raises(BadRequest) as caught:
        ask("Flag", (P, ME), query=b"category=x")
    assert caught.value.code == "not-supported"


@given(st.binary(max_size=60), st.binary(max_size=30))
def test_forms_and_urls_never_raise_anything_else(body, query):
    for kind in ("Flag", "List", "Consent", "AuditEvent", "Bundle"):
        try:
            ask(kind, body=body, query=query)
        except BadRequest as refused:
            assert 400 <= refused.status < 500  # noqa: PT017


# --- headers ---------------------------------------------------------------------------------------------------------

ONE, TWO = "0b0e2f2a-4b44-4c3b-9c55-1f6f0a7b2d11", "7d3a5f5e-58c3-4a53-a9c4-b0f4e6f3a001"


def test_aorta():
    assert headers.aorta(None) is None
    assert headers.aorta(f"initialRequestID={ONE}; requestID={TWO}") == AortaId(ONE, TWO)
    assert headers.aorta(f"requestID={TWO.upper()};initialRequestID={ONE}", "3.0") == AortaId(ONE, TWO, "3.0")


BAD_AORTA = [
    "",
    "x",
    f"initialRequestID={ONE}",
    f"initialRequestID={ONE}; requestID={TWO}; x=1",
    f"initialRequestID={ONE}; initialRequestID={TWO}",
    f"initialRequestID={ONE}; requestID=1",
    f"initialRequestID={ONE}; requestID={{{TWO}}}",
    f"initialRequestID={ONE}; requestID={TWO[:-1]}",
    f"initialRequestID={ONE}, requestID={TWO}",
    f"InitialRequestID={ONE}; RequestID={TWO}",
]


@pytest.mark.parametrize("header", BAD_AORTA)
def test_bad_aorta(header):
    with pytest.raises(BadRequest) as caught:
        headers.aorta(header)
    assert (caught.value.status, caught.value.code) == (400, "invalid-header")


@pytest.mark.parametrize("version", ["", "a b", "x\r\ny", "v" * 65])
def test_bad_aorta_version(version):
    with pytest.raises(BadRequest):
        headers.aorta(f"initialRequestID={ONE}; requestID={TWO}", version)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/fhir+json",
        "text/html, application/json;q=0.5",
        "application/*",
        "APPLICATION/JSON",
    ],
)
def test_acceptable(accept):
    headers.acceptable(accept)


@pytest.mark.parametrize("accept", ["text/html", "application/fhir+xml", "application/json;q=0", "image/*"])
def test_not_acceptable(accept):
    with pytest.raises(BadRequest) as caught:
        headers.acceptable(accept)
    assert caught.value.status == 406


@pytest.mark.parametrize(
    "kind", ["application/fhir+json", "application/json; charset=utf-8", "application/fhir+json; fhirVersion=4.0"]
)
def test_json_bodies(kind):
    headers.json_body(kind)


@pytest.mark.parametrize("kind", [None, "text/json", "application/fhir+xml", "application/json; charset=utf-16"])
def test_not_json_bodies(kind):
    with pytest.raises(BadRequest) as caught:
        headers.json_body(kind)
    assert caught.value.status == 415


# --- moments ---------------------------------------------------------------------------------------------------------

CET = timezone(timedelta(hours=1))
SPANS = {
    "2026": (datetime(2026, 1, 1, tzinfo=CET), datetime(2027, 1, 1, tzinfo=CET)),
    "2026-12": (datetime(2026, 12, 1, tzinfo=CET), datetime(2027, 1, 1, tzinfo=CET)),
    "2026-03-29": (datetime(2026, 3, 29, tzinfo=CET), datetime(2026, 3, 29, 23, tzinfo=CET)),
    "2026-01-01T12:00Z": (datetime(2026, 1, 1, 13, tzinfo=CET), datetime(2026, 1, 1, 13, 1, tzinfo=CET)),
    "2026-01-01T12:00:00": (datetime(2026, 1, 1, 12, tzinfo=CET), datetime(2026, 1, 1, 12, 0, 1, tzinfo=CET)),
    "2026-01-01T12:00:00.123456789Z": (
        datetime(2026, 1, 1, 13, 0, 0, 123456, tzinfo=CET),
        datetime(2026, 1, 1, 13, 0, 0, 123457, tzinfo=CET),
    ),
}


@pytest.mark.parametrize(("text", "expected"), SPANS.items(), ids=SPANS.keys())
def test_spans(text, expected):
    assert moments.span(text) == expected


WINDOWS = {
    "on a day": (["2026-01-01"], (1, 2)),
    "from": (["ge2026-01-02"], (2, None)),
    "after": (["gt2026-01-02"], (3, None)),
    "up to": (["le2026-01-02"], (None, 3)),
    "before": (["lt2026-01-02"], (None, 2)),
    "between": (["ge2026-01-02", "le2026-01-05"], (2, 6)),
    "starts after, ends before": (["sa2026-01-02", "eb2026-01-05"], (3, 5)),
    "narrowest wins": (["ge2026-01-02", "ge2026-01-04", "lt2026-01-09", "lt2026-01-08"], (4, 8)),
}


@pytest.mark.parametrize(("values", "days"), WINDOWS.values(), ids=WINDOWS.keys())
def test_windows(values, days):
    assert moments.window(values) == tuple(datetime(2026, 1, day, tzinfo=CET) if day else None for day in days)


def test_youngest_and_instant():
    assert moments.youngest("2010-02") == date(2010, 2, 28)
    assert moments.youngest("2010") == date(2010, 12, 31)
    assert moments.youngest("2010-05-06") == date(2010, 5, 6)
    assert moments.instant(datetime(2026, 1, 1, 12, 0, 0, 123999, tzinfo=CET)) == "2026-01-01T11:00:00.123Z"
    with pytest.raises(ValueError, match="precise"):
        moments.effective("2026-01")
