"""Is everything refused that R4 forbids in a resource we act on, also what the models let through?"""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any, get_args

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir_made import US, dumped, named
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway.fhir import narrative, shape, strict
from gateway.fhir.strict import Malformed, parse, resource

CONSENT: dict[str, Any] = {
    "resourceType": "Consent",
    "id": "c-1",
    "meta": {
        "versionId": "1",
        "lastUpdated": "2026-01-01T12:00:00Z",
        "tag": [{"system": "http://x.test", "code": "a"}],
    },
    "language": "nl",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Ja</p></div>'},
    "contained": [
        {
            "resourceType": "Patient",
            "id": "p",
            "active": True,
            "gender": "female",
            "birthDate": "1980-02-29",
            "multipleBirthInteger": 2,
            "name": [{"use": "official", "given": ["A", None], "_given": [None, {"id": "g"}]}],
            "telecom": [{"system": "phone", "value": "x"}],
            "photo": [{"data": "aGVsbG8="}],
        }
    ],
    "status": "active",
    "scope": {"coding": [{"system": "http://x.test", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
    "patient": named(),
    "dateTime": "2026-01-01T12:00:00+01:00",
    "policyRule": {"text": "x"},
    "provision": {"type": "permit", "period": {"start": "2026-01"}, "class": [{"code": "a"}]},
}


def changed(*path_and_value: Any) -> bytes:
    """CONSENT with the element at this path replaced by the last argument."""
    *path, value = path_and_value
    whole = copy.deepcopy(CONSENT)
    node: Any = whole
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return dumped(whole)


def without(name: str) -> bytes:
    return dumped({key: value for key, value in CONSENT.items() if key != name})


def div(inner: str) -> bytes:
    return changed("text", "div", f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>')


def test_the_sound_one_passes():
    assert resource(dumped(CONSENT), "Consent") == CONSENT


MALFORMED = {
    "empty": b"",
    "not JSON": b"<Consent/>",
    "a list": b"[]",
    "another type": dumped({**CONSENT, "resourceType": "List"}),
    "no type": without("resourceType"),
    "type is a number": changed("resourceType", 1),
    "unknown element": changed("zork", 1),
    "unknown element deep down": changed("provision", "zork", 1),
    "the model's own name for class": changed("provision", "class_fhir", [{"code": "a"}]),
    "the model's own name for an extension": changed("status__ext", {"id": "x"}),
    "comments of older releases": changed("fhir_comments", ["x"]),
    "comments in an element": changed("patient", "fhir_comments", ["x"]),
    "required element missing": without("scope"),
    "required list missing": without("category"),
    "required code missing": without("status"),
    "null": changed("dateTime", None),
    "null in a list": changed("category", [None]),
    "null in a list beside its extension": changed("contained", 0, "name", 0, "_given", [None, None]),
    "empty object": changed("policyRule", {}),
    "empty list": changed("category", []),
    "empty list deep down": changed("contained", 0, "name", []),
    "empty string": changed("patient", "identifier", "value", ""),
    "blank string": changed("patient", "display", "\x00"),
    "object for a list": changed("category", {"text": "x"}),
    "list for an object": changed("patient", [named()]),
    "string for an object": changed("patient", "Patient/p"),
    "object for a string": changed("id", {"a": 1}),
    "number for a string": changed("patient", "display", 1),
    "boolean for a string": changed("patient", "display", True),
    "string for a boolean": changed("contained", 0, "active", "true"),
    "number for a boolean": changed("contained", 0, "active", 1),
    "string for a number": changed("contained", 0, "multipleBirthInteger", "2"),
    "decimal for a whole number": changed("contained", 0, "multipleBirthInteger", 2.0),
    "boolean for a number": changed("contained", 0, "multipleBirthInteger", True),
    "status not in R4": changed("status", "entered"),
    "status in capitals": changed("status", "Active"),
    "provision type not in R4": changed("provision", "type", "allow"),
    "narrative status not in R4": changed("text", "status", "made"),
    "identifier use not in R4": changed("patient", "identifier", "use", "best"),
    "gender not in R4": changed("contained", 0, "gender", "f"),
    "name use not in R4": changed("contained", 0, "name", 0, "use", "x"),
    "comparator in an extension not in R4": changed(
        "extension", [{"url": "http://x.test", "valueQuantity": {"comparator": "~", "value": 1}}]
    ),
    "telecom system not in R4": changed("contained", 0, "telecom", 0, "system", "x"),
    "id with a space": changed("id", "a b"),
    "id too long": changed("id", "a" * 65),
    "id with a newline": changed("id", "a\n"),
    "code with two spaces": changed("language", "n  l"),
    "code with a space before": changed("scope", "coding", 0, "code", " x"),
    "uri with a space": changed("scope", "coding", 0, "system", "http://x test"),
    "instant without zone": changed("meta", "lastUpdated", "2026-01-01T12:00:00"),
    "instant that is a date": changed("meta", "lastUpdated", "2026-01-01"),
    "date with time": changed("contained", 0, "birthDate", "1980-01-01T00:00:00Z"),
    "date that does not exist": changed("contained", 0, "birthDate", "1981-02-29"),
    "date that is a number": changed("contained", 0, "birthDate", 19800101),
    "date in Dutch order": changed("contained", 0, "birthDate", "29-02-1980"),
    "dateTime without zone": changed("dateTime", "2026-01-01T12:00:00"),
    "dateTime in month 13": changed("dateTime", "2026-13-01"),
    "dateTime with a space": changed("dateTime", "2026-01-01 12:00:00Z"),
    "dateTime that is a number": changed("dateTime", 1767265200),
    "base64 that is none": changed("contained", 0, "photo", 0, "data", "*"),
    "contained of a strange type": changed("contained", [{"resourceType": "Observation", "id": "o"}]),
    "contained of an unknown type": changed("contained", [{"resourceType": "Zork", "id": "o"}]),
    "contained without type": changed("contained", [{"id": "o"}]),
    "contained without id": changed("contained", [{"resourceType": "Patient", "active": True}]),
    "contained twice": changed("contained", [CONSENT["contained"][0]] * 2),
    "contained in a contained": changed("contained", 0, "contained", [{"resourceType": "Device", "id": "d"}]),
    "script in the narrative": div("<script>alert(1)</script>"),
    "script in capitals": div("<SCRIPT>alert(1)</SCRIPT>"),
    "event handler": div('<p onclick="alert(1)">x</p>'),
    "script link": div('<a href="javascript:alert(1)">x</a>'),
    "script link, escaped": div('<a href="java&#115;cript:alert(1)">x</a>'),
    "data link": div('<a href="data:text/html,x">x</a>'),
    "relative link": div('<a href="/logout">x</a>'),
    "image from a data url": div('<img src="data:image/svg+xml,x"/>'),
    "style that loads": div('<p style="background:url(http://x.test)">x</p>'),
    "style element": div("<style>p{}</style>"),
    "frame": div('<iframe src="http://x.test"></iframe>'),
    "object": div("<object></object>"),
    "form": div("<form></form>"),
    "svg": div("<svg></svg>"),
    "comment in the narrative": div("<!-- x -->"),
    "doctype in the narrative": div("<!DOCTYPE x>"),
    "processing instruction": div("<?php x ?>"),
    "element left open": div("<p>x"),
    "elements crossing": div("<b><i>x</b></i>"),
    "narrative that is no div": changed("text", "div", "<p>x</p>"),
    "narrative that ends early": changed("text", "div", "<div></div><script"),
    "narrative that is text": changed("text", "div", "x"),
    "duplicate key": dumped(CONSENT).replace(b'"id":"c-1"', b'"id":"c-1","id":"c-1"'),
    "NaN": changed("id", 1).replace(b'"id":1', b'"id":NaN'),
    "lone surrogate": changed("id", 1).replace(b'"id":1', rb'"id":"\udfff"'),
    "byte order mark": b"\xef\xbb\xbf" + dumped(CONSENT),
    "too deep": dumped({**CONSENT, "extension": json.loads('[{"extension":' * 40 + "[]" + "}]" * 40)}),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(body):
    with pytest.raises(Malformed) as caught:
        resource(body, "Consent")
    assert US.digits not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.why


PLACES = {
    "unknown element": "Consent.zork",
    "unknown element deep down": "Consent.provision.zork",
    "status not in R4": "Consent.status",
    "string for a boolean": "Consent.contained[0].active",
    "empty list": "Consent.category",
    "script in the narrative": "Consent.text.div",
    "another type": "resourceType",
}


@pytest.mark.parametrize(("name", "path"), PLACES.items(), ids=PLACES.keys())
def test_the_place_is_told(name, path):
    with pytest.raises(Malformed) as caught:
        resource(MALFORMED[name], "Consent")
    assert caught.value.path == path


def test_a_number_used_as_a_key_is_not_echoed():
    for body in (changed(US.digits, 1), changed("provision", US.digits, 1), changed("patient", US.digits, None)):
        with pytest.raises(Malformed) as caught:
            resource(body, "Consent")
        assert US.digits not in str(caught.value)


HARMLESS = (
    "",
    "x &amp; y",
    "<p>x<br/>y</p>",
    '<table class="a"><tr><td colspan="2">x</td></tr></table>',
    '<a href="https://x.test/y?z=1">x</a>',
    '<a href="mailto:x@y.test">x</a>',
    '<p style="color:red">x</p>',
)


@pytest.mark.parametrize("inner", HARMLESS)
def test_harmless_narrative_passes(inner):
    assert resource(div(inner), "Consent")
    assert narrative.is_harmless(f"<div>{inner}</div>")


def test_depth_is_exact():
    assert parse(b"[" * 64 + b"]" * 64)
    with pytest.raises(Malformed):
        parse(b"[" * 65 + b"]" * 65)
    assert parse(b'{"a":' * 3 + b"1" + b"}" * 3, max_depth=3)
    with pytest.raises(Malformed):
        parse(b'{"a":' * 4 + b"1" + b"}" * 4, max_depth=3)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(JSON, st.booleans())
def test_single_keys_always_pass(value, escaped):
    assert strict.decode(json.dumps(value, ensure_ascii=escaped).encode()) == value


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=3), JSON, min_size=1, max_size=4), st.data())
def test_a_duplicate_key_never_passes(value, data):
    again = data.draw(st.sampled_from(sorted(value)))
    members = [f"{json.dumps(key)}:{json.dumps(item)}" for key, item in value.items()]
    place = data.draw(st.integers(0, len(members)))
    spelled = "".join(f"\\u{ord(one):04x}" for one in again) if all(ord(one) < 0x10000 for one in again) else None
    key = f'"{spelled}"' if spelled is not None and data.draw(st.booleans()) else json.dumps(again)
    members.insert(place, f"{key}:{json.dumps(data.draw(JSON))}")
    with pytest.raises(Malformed):
        strict.decode(("{" + ",".join(members) + "}").encode())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_change_of_a_sound_resource_raises_anything_else(data):
    whole = copy.deepcopy(CONSENT)
    node: Any = whole
    while isinstance(node, dict | list) and node:
        step = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else list(range(len(node)))))
        if data.draw(st.booleans()) or not isinstance(node[step], dict | list):
            node[step] = data.draw(JSON)
            break
        node = node[step]
    with contextlib.suppress(Malformed):
        assert resource(dumped(whole), "Consent") == whole


# --- our table of codes against the models ---------------------------------------------------------------------------


MODELS_ERR = {
    ("DeviceUdiCarrier", "entryType"): "barcode rfid manual card self-reported unknown",  # cut short in the models
    **{(kind, "comparator"): "< <= >= >" for kind in ("Quantity", "Age", "Count", "Distance", "Duration")},
}
NOT_REQUIRED = {("Expression", "language")}
"""An extensible binding in R4."""


def reachable(*kinds: str) -> dict[str, type[BaseModel]]:
    """Every model that can occur in these types, but for other contained resources."""
    seen: dict[str, type[BaseModel]] = {}
    todo = list(kinds)
    while todo:
        name = todo.pop()
        if name not in seen and name not in ("Resource", "None"):
            seen[name] = get_fhir_model_class(name)
            todo += [inner for field in seen[name].model_fields.values() for inner in _type_names(field.annotation)]
    return seen


def _type_names(annotation: object):
    name = getattr(annotation, "__name__", "")
    if name.endswith("Type") and name != "FHIRPrimitiveExtensionType":
        yield name.removesuffix("Type")
    for part in get_args(annotation):
        yield from _type_names(part)


def test_every_required_code_of_what_we_act_on_is_in_our_table():
    models = reachable("List", "Consent", "Parameters", *shape.CONTAINED_TYPES)
    theirs = {
        (name, field.alias): set((field.json_schema_extra or {})["enum_values"])
        for name, model in models.items()
        for field in model.model_fields.values()
        if (field.json_schema_extra or {}).get("enum_values") and (name, field.alias) not in NOT_REQUIRED
    }
    theirs |= {place: set(codes.split()) for place, codes in MODELS_ERR.items()}
    assert {place: set(codes) for place, codes in shape.REQUIRED_CODES.items()} == theirs
