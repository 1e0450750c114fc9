"""Which files do tests of the desk's scenarios play? One that comes as told, one otherwise, and two that are none."""

from __future__ import annotations

from pathlib import Path

STORY = """\
scenario: Carla at the post
story: >
  The covering doctor looks into the summary.
covers: [REG-1]
given:
  organisations: {practice: gp-practice, post: gp-post}
  patients:
    carla: {gp: practice, consents: all}
when:
  - ask: {by: post, for: carla, what: gp-summary}
    then: {completeness: complete, row: REG-1}
"""
FILES = {
    "as-told": STORY,
    "otherwise": STORY.replace("row: REG-1", "row: REG-2"),
    "no-scenario": STORY.replace("given:", "givn:"),
    "no-yaml": "scenario: [",
}


def written(folder: Path) -> Path:
    """The folder, with the files in it."""
    for name, text in FILES.items():
        (folder / f"{name}.scenario.yaml").write_text(text)
    return folder
