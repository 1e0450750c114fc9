"""How does a build server read what was played? JUnit XML: one suite, a test case per scenario.

It knows what was played. Everything told is escaped, and what XML cannot carry is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from source_sim.scenarios.played import Played
from source_sim.scenarios.telling import failure

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(played: Sequence[Played], unreadable: Sequence[str] = ()) -> str:
    """The report. `unreadable` are files that were no scenarios, one line each."""
    failed = sum(not one.passed for one in played)
    suite = ElementTree.Element(
        "testsuite",
        name="switchpoint scenarios",
        tests=str(len(played) + len(unreadable)),
        failures=str(failed),
        errors=str(len(unreadable)),
        time=f"{sum(one.seconds for one in played):.3f}",
    )
    for one in played:
        _case(suite, one)
    for told in unreadable:
        case = ElementTree.SubElement(suite, "testcase", classname="scenario", name=_clean(told.partition(":")[0]))
        ElementTree.SubElement(case, "error", message=_clean(told))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, played: Played) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname="scenario",
        name=_clean(played.read.name),
        file=_clean(str(played.read.file)),
        time=f"{played.seconds:.3f}",
    )
    if not played.passed:
        first = played.differences[0]
        told = f"{first.what}: expected {first.expected}, came {first.actual}"
        ElementTree.SubElement(case, "failure", message=_clean(told)).text = _clean(failure(played))
    ElementTree.SubElement(case, "system-out").text = _clean("\n".join(played.transcript))


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("", text)
