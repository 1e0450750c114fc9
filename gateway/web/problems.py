"""How does a failure look from outside? One table from what went wrong inside to status, machine code and sentence.

Inside and outside are two vocabularies; a test proves the table complete.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.fhir.strict import Malformed
from gateway.flows import consent as consent_flow
from gateway.flows.deciding import Unsettled
from gateway.rules.access import SENTENCES, Bar
from gateway.rules.exchange import Failing
from gateway.rules.identifiers import Bsn
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable


class Problem(Exception):
    """What the caller is told: HTTP status, code in S:CodeSystem/outcome, a sentence, extra headers, the element or
    parameter it is about. `journaled`: a flow has already written the line; `patient`: whose journal it belongs in."""

    def __init__(
        self,
        status: int,
        code: str,
        sentence: str,
        headers: Mapping[str, str] | None = None,
        *,
        path: str | None = None,
        journaled: bool = False,
        patient: Bsn | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.sentence, self.headers = status, code, sentence, dict(headers or {})
        self.path, self.journaled, self.patient = path, journaled, patient


_RETRY = {"Retry-After": "1"}

INTERNAL: dict[type[Exception], tuple[int, str, str]] = {
    LedgerUnavailable: (503, "ledger-unavailable", "The exchange cannot write its journal now; nothing was released."),
    IndexUnavailable: (503, "index-unavailable", "The reference index cannot be read now; this says nothing about"
                       " what is registered."),
    Unsettled: (503, "unsettled", "Choices or rules kept changing while the request ran; nothing was released."),
    consent_flow.NotEntitled: (422, "not-entitled", "Who stated this may not state it for a patient of this age."),
    consent_flow.StaleVersion: (412, "stale-version", "The consent was changed meanwhile; read it again."),
    consent_flow.ScopeChanged: (422, "scope-changed", "An update may change what is said, not what it is about;"
                                " state a new consent for another scope."),
    consent_flow.NoSuchConsent: (404, "not-found", "There is no such consent of this organisation."),
}  # fmt: skip

SOURCE_FAILURES: dict[Failing, tuple[int, str]] = {
    Failing.TIMED_OUT: (504, "No source answered in time."),
    Failing.REFUSED: (502, "The sources refused the query."),
    Failing.UNREACHABLE: (502, "The sources could not be reached."),
    Failing.MALFORMED: (502, "The sources gave answers that cannot be used."),
    Failing.WRONG_PATIENT: (502, "The sources gave answers that are not provably about this patient."),
}
"""How a search is told that failed at every source; the remaining failures count as answered or as neutral."""


def barred(bar: Bar, sentence: str = "", *, journaled: bool = False) -> Problem:
    """The problem that tells a bar, with its standing sentence unless a closer one is given."""
    return Problem(403, bar, sentence or SENTENCES[bar], journaled=journaled)


def told(error: Exception) -> Problem | None:
    """The problem for an internal error, or None for one nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Malformed):
        return Problem(400, "malformed", error.why, path=error.path)
    for kind, (status, code, sentence) in INTERNAL.items():
        if isinstance(error, kind):
            return Problem(status, code, sentence, _RETRY if status == 503 else None)
    return None
