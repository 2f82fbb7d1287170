"""What nests in what, and what each net costs.

To know it, torch has to be loaded and every net built, which takes seconds. So what holds for the families' usual
images and classes ships as a file that is read at once; for others it is computed. `make catalogue` writes the file
anew, and a test holds it equal to what is computed.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from ddnn.formats.staging import write_text
from ddnn.reporting.tables import to_json

if TYPE_CHECKING:
    from ddnn.families import Family

FILE = Path(__file__).with_suffix(".json")


class MemberEntry(TypedDict):
    """One net: blocks per stage, their number, the cost, and the members of its family that it is a sub-net of."""

    depth: list[int]
    stages: int
    parameters: int
    macs: int
    inside: list[str]


class FamilyEntry(TypedDict):
    """One family: (channels, height, width) and the number of classes that the costs are for, and its nets by name."""

    input: list[int]
    classes: int
    members: dict[str, MemberEntry]


Catalogue = dict[str, FamilyEntry]
"""The families by name, in the registry's order."""


def catalogue(image_size: int | None = None, num_classes: int | None = None) -> Catalogue:
    """The catalogue for images of that size and so many classes.

    Args:
        image_size: side in pixels; None means the usual one of each family.
        num_classes: outputs; None means the usual number of each family.
    """
    if image_size is None and num_classes is None:
        return json.loads(FILE.read_text())
    return computed(image_size, num_classes)


def computed(image_size: int | None = None, num_classes: int | None = None) -> Catalogue:
    """The same from the registry itself, whatever the file says."""
    from ddnn.families import REGISTRY  # here and below, because it loads torch

    return {name: _entry(family, image_size, num_classes) for name, family in REGISTRY.items()}


def _entry(family: "Family", image_size: int | None, num_classes: int | None) -> FamilyEntry:
    from ddnn.families import containing
    from ddnn.measuring.macs import family_costs

    channels, *sides = family.default_input
    members: dict[str, MemberEntry] = {
        name: {
            "depth": list(family.members[name]),
            "stages": len(family.members[name]),
            "parameters": cost.parameters,
            "macs": cost.macs,
            "inside": containing(family, name),
        }
        for name, cost in family_costs(family, image_size, num_classes).items()
    }
    return {
        "input": [channels, *(image_size or side for side in sides)],
        "classes": num_classes or family.default_classes,
        "members": members,
    }


def as_text(entries: Catalogue) -> str:
    """What the file holds: the same as `ddnn families --json` prints."""
    return to_json(entries) + "\n"


def write() -> None:
    """Count anew, and write the file that ships."""
    write_text(FILE, as_text(computed()))
