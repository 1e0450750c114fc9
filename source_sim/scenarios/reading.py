"""Is this file a scenario, and if not, what is wrong on which line? One sentence per mistake, near names told.

It knows the form and the YAML reader. It may not know how a scenario is played.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as File
from types import MappingProxyType
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from source_sim.country import KINDS, Participant
from source_sim.scenarios import yaml_text
from source_sim.scenarios.files import name_of
from source_sim.scenarios.form import Part, Refers, Whom, hyphened
from source_sim.scenarios.scenario import VERBS, Scenario
from source_sim.scenarios.yaml_text import BadYaml, Path, Text
from source_sim.sentinel import Enrolled, Sentinel
from source_sim.sentinels import SENTINELS


class Unreadable(Exception):
    """The file is not a scenario: `str()` is one line with file, line number and what is wrong."""


@dataclass(frozen=True, slots=True)
class Read:
    """A scenario with where it came from."""

    file: File
    scenario: Scenario
    text: Text

    def line(self, *path: str | int) -> int:
        """The line of a place in the file."""
        return self.text.line(path)

    @property
    def name(self) -> str:
        """The file's name without what every scenario's name ends in."""
        return name_of(self.file)


def read(file: File) -> Read:
    """Read one scenario. Raises Unreadable."""
    try:
        text = file.read_bytes().decode()
    except OSError as wrong:
        raise Unreadable(f"{file}: cannot be read: {wrong.strerror}") from None
    except UnicodeDecodeError:
        raise Unreadable(f"{file}:1: is not UTF-8 text") from None
    return parse(text, file)


def parse(text: str, file: File) -> Read:
    """The scenario a text holds; `file` is only told. Raises Unreadable."""
    try:
        plain = yaml_text.read(text)
    except BadYaml as wrong:
        raise Unreadable(f"{file}:{wrong.line}: {wrong.told}") from None
    if not isinstance(plain.value, dict):
        raise Unreadable(f"{file}:1: is not a scenario: scenario, story, given, when and then are wanted")
    try:
        made = Scenario.model_validate(plain.value)
    except ValidationError as wrong:
        line, told = _worst(wrong, plain)
        raise Unreadable(f"{file}:{line}: {told}") from None
    for path, told in _misnamed(made):
        raise Unreadable(f"{file}:{plain.line(path)}: {told}")
    return Read(file, made, plain)


# --- what is wrong ---------------------------------------------------------------------------------------------------


def _worst(wrong: ValidationError, text: Text) -> tuple[int, str]:
    """The first mistake in the file; an unknown word goes before what is missing because of it."""
    errors = wrong.errors(include_url=False)
    worst = min(errors, key=lambda error: (error["type"] != "extra_forbidden", text.line(error["loc"])))
    return text.line(worst["loc"]), _told(worst, text)


def _told(error: ErrorDetails, text: Text) -> str:
    name, context = text.name(error["loc"]), error.get("ctx") or {}
    match error["type"]:
        case "extra_forbidden":
            return f"unknown word {name!r}{near(name, _words_at(error['loc']))}"
        case "unknown_word":
            return f"{name}: {context['word']!r} is not known{near(str(context['word']), context['allowed'])}"
        case "literal_error":
            return f"{name}: {error['input']!r} is not known; allowed: {context['expected']}"
        case "missing":
            return f"{error['loc'][-1]!r} is missing"
        case "union_tag_invalid" | "union_tag_not_found":
            return _no_verb(error["input"])
        case "string_pattern_mismatch":
            return f"{name!r}: names are small letters, digits and hyphens, a letter first"
    return f"{name}: {_plain(error['msg'])}"


def _plain(message: str) -> str:
    return message[0].lower() + message[1:].removeprefix("Input ")


def _no_verb(step: Any) -> str:
    said = list(step) if isinstance(step, dict) else []
    verbs = [word for word in said if word in VERBS]
    if len(verbs) > 1:
        return f"a step does one thing; this one says {' and '.join(verbs)}"
    word = next((word for word in said if word not in ("then", "note")), "")
    return f"no such step: {word!r}{near(word, VERBS)}"


def near(word: str, allowed: Sequence[str] | Any) -> str:
    names = list(allowed)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    listed = f"allowed: {', '.join(names)}" if names else "there are none"
    return f" (do you mean {near[0]!r}?); {listed}" if near else f"; {listed}"


def _words_at(loc: tuple[int | str, ...]) -> list[str]:
    """The words that may stand where an unknown one stands: found by walking the models along the path."""
    model: Any = Scenario
    for part in loc[:-1]:
        model = _step_into(model, part)
    fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
    return [field.alias or hyphened(name) for name, field in fields.items()]


def _step_into(model: Any, part: int | str) -> Any:
    if isinstance(part, str) and part.endswith(" step"):
        return VERBS[part.removesuffix(" step")]
    if isinstance(model, type) and issubclass(model, BaseModel):
        found = next((f for n, f in model.model_fields.items() if (f.alias or hyphened(n)) == part), None)
        return _model_in(found.annotation) if found else model
    return model


def _model_in(annotation: Any) -> Any:
    """The one model an annotation speaks of, however wrapped; the annotation itself when there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(one) for one in get_args(annotation)]
    return next((one for one in found if isinstance(one, type) and issubclass(one, BaseModel)), annotation)


# --- names that must be known ----------------------------------------------------------------------------------------


def _misnamed(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    for name in brought_along(scenario):
        if name in scenario.given.organisations:
            yield ("given", "organisations", name), f"{name!r} comes along with a sentinel; give yours another name"
    for path, to, name in references(scenario):
        known = _known(scenario, to)
        if name not in known:
            yield path, f"{name!r} is no {to} of this scenario{near(name, known)}"


def references(scenario: Scenario) -> Iterator[tuple[Path, Whom, str]]:
    """Every name in a scenario that refers to something it introduces, with its place."""
    yield from _in_part(scenario, ())


def _in_part(part: Part, path: Path) -> Iterator[tuple[Path, Whom, str]]:
    for name, field in type(part).model_fields.items():
        value, at = getattr(part, name), (*path, field.alias or hyphened(name))
        marks = [one for one in field.metadata if isinstance(one, Refers)]
        yield from _in_value(value, marks[0] if marks else _inner(field.annotation), at)


def _inner(annotation: Any) -> Refers | None:
    """The mark inside an annotation: of the items of a list, the keys of a mapping, an optional."""
    for one in get_args(annotation):
        if isinstance(one, Refers):
            return one
        found = _inner(one)
        if found:
            return found
    return None


def _in_value(value: Any, mark: Refers | None, path: Path) -> Iterator[tuple[Path, Whom, str]]:
    if isinstance(value, Part):
        yield from _in_part(value, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            if mark:
                yield (*path, key), mark.to, key
            yield from _in_value(item, None, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _in_value(item, mark, (*path, place))
    elif mark and isinstance(value, str):
        yield path, mark.to, value


def _known(scenario: Scenario, to: Whom) -> list[str]:
    match to:
        case Whom.PATIENT:
            return list(scenario.given.patients)
        case Whom.REQUESTER:
            return [name for name, one in scenario.given.organisations.items() if not one.holds_records]
        case Whom.MESSAGE:
            steps = (getattr(step, "send_return", None) or getattr(step, "refer", None) for step in scenario.when)
            return [step.named for step in steps if step is not None and step.named]
        case Whom.ORGANISATION:
            return [*scenario.given.organisations, *brought_along(scenario)]
    return [name for name, kind in _custodians(scenario).items() if to is Whom.CUSTODIAN or kind == _KIND_OF[to]]


_KIND_OF: Final = MappingProxyType({Whom.PRACTICE: "gp-practice", Whom.PHARMACY: "pharmacy"})


def _custodians(scenario: Scenario) -> dict[str, str]:
    """Every custodian with its kind, the sentinels' ones last."""
    own = {name: str(one.kind) for name, one in scenario.given.organisations.items() if one.holds_records}
    return own | brought_along(scenario)


def brought_along(scenario: Scenario) -> dict[str, str]:
    """The custodians that the scenario's sentinels bring with them, by the country's own names, with their kind."""
    sentinels = [SENTINELS[one.sentinel] for one in scenario.given.patients.values() if one.sentinel]
    return {who.key: KINDS[who.organisation_type] for one in sentinels for who in _of_sentinel(one)}


def _of_sentinel(sentinel: Sentinel) -> list[Participant]:
    return [*(act.practice for act in sentinel.acts if isinstance(act, Enrolled)), *sentinel.records]
