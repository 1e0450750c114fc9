"""What does a YAML file say, and on which line? Plain values as text, every place with its line; traps refused.

A scalar stays the text it is, so that `no`, `01.015` and 23:40 mean what they look like; the form decides what is a
number. Anchors, tags, repeated keys and a second document are refused: a scenario is read by people.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import yaml

Path = tuple[str | int, ...]
MOST_BYTES: Final = 256 * 1024
_DEEPEST: Final = 20


class BadYaml(Exception):
    """The text is not YAML of the plain kind. `line` counts from 1."""

    def __init__(self, line: int, told: str) -> None:
        super().__init__(told)
        self.line, self.told = line, told


@dataclass(frozen=True, slots=True)
class Text:
    """A file's value, with the line of every place in it."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a place; parts of the path that the file does not have are passed over."""
        return self.lines.get(self._place(path), 1)

    def name(self, path: Path) -> str:
        """What the file calls a place: the last key on the way to it."""
        keys = [part for part in self._place(path) if isinstance(part, str)]
        return keys[-1] if keys else "scenario"

    def _place(self, path: Path) -> Path:
        at: Path = ()
        for part in path:
            if (*at, part) in self.lines:
                at = (*at, part)
        return at


def read(text: str) -> Text:
    """Raises BadYaml."""
    if len(text) > MOST_BYTES:
        raise BadYaml(1, "is larger than a scenario can be")
    try:
        _refuse_traps(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        raise BadYaml(mark.line + 1 if mark else 1, f"is not YAML: {wrong.problem or wrong.context}") from None
    except (yaml.YAMLError, ValueError):
        raise BadYaml(1, "is not YAML") from None
    lines: dict[Path, int] = {}
    return Text(None if node is None else _value(node, (), lines), lines)


def _refuse_traps(text: str) -> None:
    """Told from the events, before anything is built: nothing here grows with what the text promises."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise BadYaml(line, "is nested deeper than a scenario can be")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadYaml(line, "anchors and aliases are not read; write it out")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            raise BadYaml(line, "tags are not read")


def _value(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(one, (*path, place), lines) for place, one in enumerate(node.value)]
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return None if plain and node.value in ("", "null", "~") else node.value


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise BadYaml(line, "a key must be a word")
        if key.value in made:
            raise BadYaml(line, f"{key.value!r} stands here twice")
        lines[(*path, key.value)] = line
        made[key.value] = _value(value, (*path, key.value), lines)
    return made
