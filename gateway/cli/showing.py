"""How does an answer look to a doctor? A searchset as tables on a terminal: what is there, what is missing.

Only for the requester's own terminal: this is the one place that prints content.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from source_sim.requesters import Reply

Resource = dict[str, Any]

_WHEN = ("recordedDate", "onsetDateTime", "effectiveDateTime", "whenHandedOver", "authoredOn", "dateAsserted",
         "dateTime", "date")  # fmt: skip
_FLAGS = {
    "verbal-consent": "on verbal consent given now",
    "presumed-consent": "on presumed consent: will be reviewed",
    "contradictory-limits": "the sources contradict each other on treatment limits: read both",
}


def show(reply: Reply, console: Console, *, most: int = 1000) -> None:
    """Print an answer, at most `most` lines of each part, or the refusal in its own words."""
    if reply.status >= 300:
        console.print(f"[bold red]{reply.status} {escape(reply.code)}[/]  {escape(reply.sentence)}")
        return
    colour = {"complete": "green", "partial": "yellow"}.get(reply.completeness or "", "red")
    console.print(f"[bold {colour}]{reply.completeness}[/]: {len(reply.matches)} found")
    for flag in sorted(reply.flags):
        console.print(f"[bold yellow]! {_FLAGS.get(flag, flag)}[/]")
    documents = [match for match in reply.matches if match.get("resourceType") == "Bundle"]
    for document in documents:
        _show_document(document, console, most)
    others = [match for match in reply.matches if match.get("resourceType") != "Bundle"]
    if others:
        entries = [entry for one in (reply, *reply.others) for entry in one.json.get("entry", [])]
        medicines = _medicines(entries)
        console.print(_table("", others, medicines, most))
    for outcome in reply.outcomes:
        console.print(
            f"[yellow]missing from {escape(outcome.ura)}: {escape(outcome.code)}[/]  {escape(outcome.sentence)}"
        )


def _medicines(entries: Sequence[Resource]) -> dict[Any, Resource]:
    """The medicines among these entries, by id and by full URL."""
    found: dict[Any, Resource] = {}
    for entry in entries:
        resource = entry.get("resource", {})
        if resource.get("resourceType") == "Medication":
            found |= {resource.get("id"): resource, entry.get("fullUrl"): resource}
    return found


def _show_document(document: Resource, console: Console, most: int) -> None:
    entries = document.get("entry", [])
    by_reference = {}
    for entry in entries:
        resource = entry.get("resource", {})
        by_reference[f"{resource.get('resourceType')}/{resource.get('id')}"] = resource
        by_reference[entry.get("fullUrl")] = resource
    composition = entries[0]["resource"] if entries else {}
    console.print(
        f"[bold]{escape(str(composition.get('title', 'Summary')))}[/]  {escape(str(composition.get('date', '')))}"
    )
    medicines = _medicines(entries)
    for section in composition.get("section", []):
        found = [by_reference[ref] for ref in _references(section) if ref in by_reference]
        if found:
            console.print(_table(str(section.get("title", "")), found, medicines, most))


def _references(section: Resource) -> list[str]:
    return [str(entry.get("reference")) for entry in section.get("entry", [])]


def _table(title: str, resources: Sequence[Resource], medicines: dict[Any, Resource], most: int) -> Table:
    table = Table("what", "detail", "when", title=title or None, title_justify="left", expand=False)
    for resource in resources[:most]:
        table.add_row(escape(_what(resource, medicines)), escape(_detail(resource)), escape(_when(resource)))
    if len(resources) > most:
        table.add_row(f"… and {len(resources) - most} more", "", "")
    return table


def _what(resource: Resource, medicines: dict[Any, Resource]) -> str:
    reference = resource.get("medicationReference", {}).get("reference", "")
    medicine = medicines.get(reference) or medicines.get(reference.rpartition("/")[2].lstrip("#"))
    if medicine is not None:
        return _coded(medicine.get("code"))
    if resource.get("resourceType") == "Consent":
        provision = resource.get("provision", {})
        codes = provision.get("code", [])
        return ", ".join(_coded(code) for code in codes) or "treatment directive"
    named = (resource.get(name) for name in ("code", "medicationCodeableConcept", "vaccineCode", "type", "class"))
    if resource.get("resourceType") == "EpisodeOfCare":
        return f"episode, {resource.get('status', '')}"
    text = next((_coded(value) for value in named if value), "")
    return text or str(resource.get("title") or resource.get("resourceType"))


def _coded(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_coded(one) for one in value)
    if not isinstance(value, dict):
        return str(value or "")
    codings = value.get("coding") or [value]
    return str(value.get("text") or codings[0].get("display") or codings[0].get("code") or "")


def _detail(resource: Resource) -> str:
    if resource.get("resourceType") == "Consent":
        return _limit(resource)
    parts = [
        _value(resource),
        *(f"{_coded(part.get('code'))} {_value(part)}".strip() for part in resource.get("component", [])),
        *(str(part.get("text", "")) for part in (resource.get("dosageInstruction") or resource.get("dosage") or [])),
        str(resource.get("criticality", "")),
        *(_section(part) for part in resource.get("section", [])),
    ]
    return "; ".join(part for part in parts if part)


def _value(part: Resource) -> str:
    """An observed value as text, its unit included."""
    quantity = part.get("valueQuantity")
    if quantity:
        return f"{quantity.get('value', '')} {quantity.get('unit', '')}".strip()
    if "valueCodeableConcept" in part:
        return _coded(part["valueCodeableConcept"])
    return next((str(part[name]) for name in ("valueString", "valueInteger", "valueDateTime") if name in part), "")


def _limit(resource: Resource) -> str:
    """A treatment limit's decision. One without permit or deny is shown as what it says, never as either."""
    said = resource.get("provision", {}).get("type")
    other = [e.get("valueString", "") for e in resource.get("modifierExtension", []) if "valueString" in e]
    decision = {"permit": "YES", "deny": "NO"}.get(str(said), "OTHER: " + ("; ".join(other) or "see the document"))
    return decision if resource.get("status") == "active" else f"{decision} ({resource.get('status')})"


def _section(part: Resource) -> str:
    text = part.get("text", {}).get("div", "")
    name = part.get("title") or _coded(part.get("code"))
    return f"{name}: {_plain(text)}" if text else ""


def _plain(div: str) -> str:
    """The text of a narrative, its tags left out."""
    return " ".join(re.sub(r"<[^>]*>", " ", div).split())


def _when(resource: Resource) -> str:
    period = resource.get("period", {}).get("start", "")
    return next((str(resource[name])[:16] for name in _WHEN if resource.get(name)), str(period)[:16])
