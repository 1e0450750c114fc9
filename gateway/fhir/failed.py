"""How does a search look that failed at every source? One OperationOutcome, an issue per source, `none` as tag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.fhir import codes
from gateway.fhir.writing import Leg, encode
from gateway.rules.exchange import Completeness, Failing, Failure


def failed_search(failing: Failing, sentence: str, legs: Sequence[Leg]) -> bytes:
    """The error's own issue first, then one per source that failed, naming it. Carries nothing a source sent."""
    issues = [_issue(failing, sentence)]
    for address, answer in legs:
        if isinstance(answer, Failure):
            told = _issue(answer.failing, f"{codes.FAILING_SENTENCES[answer.failing]} ({address.ura})")
            issues.append(told)
    tag = {"system": codes.COMPLETENESS, "code": Completeness.NONE}
    return encode({"resourceType": "OperationOutcome", "meta": {"tag": [tag]}, "issue": issues})


def _issue(failing: Failing, sentence: str) -> dict[str, Any]:
    details = {"coding": [{"system": codes.OUTCOME, "code": failing}], "text": sentence}
    return {"severity": "error", "code": codes.ISSUE_TYPES[failing], "details": details}
