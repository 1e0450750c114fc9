"""Where do scenarios lie? Beside this file those that come with the switchpoint; elsewhere anybody's, by the suffix."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".scenario.yaml"
LIBRARY = Path(__file__).parent / "library"


def library() -> list[Path]:
    """The scenarios that come with the switchpoint."""
    return scenarios_in(LIBRARY)


def scenarios_in(folder: Path) -> list[Path]:
    """Those of a folder, by name."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def name_of(file: Path) -> str:
    """What a scenario is called after its file."""
    return file.name.removesuffix(SUFFIX)
