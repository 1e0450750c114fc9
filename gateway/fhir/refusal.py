"""How does reading a request say no? One exception with everything an OperationOutcome needs. Knows no HTTP server."""

from __future__ import annotations

from gateway.fhir.codes import PROBLEM_SENTENCES, Problem


class BadRequest(Exception):
    """The request cannot be taken. `status` is HTTP's (400, 403, 406, 413, 415, 422); `code` stands in
    CodeSystem/outcome; `path` names the element or parameter. None of them ever carries a value sent."""

    def __init__(self, status: int, code: str, sentence: str, path: str | None = None) -> None:
        super().__init__(f"{status} {code}: {sentence}")
        self.status = status
        self.code = code
        self.sentence = sentence
        self.path = path


def refuse(status: int, problem: Problem, path: str | None = None, sentence: str | None = None) -> BadRequest:
    """The refusal for one of our own problems, with its standing sentence unless a closer one is given."""
    return BadRequest(status, problem, sentence or PROBLEM_SENTENCES[problem], path)
