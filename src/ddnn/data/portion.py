"""On which images a figure stands: which split, how many, and how many were left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ddnn.data.splits import Source, Split
from ddnn_runtime.image_files import in_words


@dataclass(frozen=True)
class Portion:
    """Some images of a data set.

    Args:
        data: what the data set is called.
        split: train, validation or test.
        called: what the split is called where it comes from; empty where that is the same.
        images: how many figures stand on.
        left_out: how many files and images are beside them and were left out.
        of: how many there are, where only the first were taken; None where all were.
    """

    data: str
    split: str
    called: str
    images: int
    left_out: int
    of: int | None = None

    def __str__(self) -> str:
        """As people read it.

        >>> print(Portion("folder:pets", "test", "valid/", 8, 2))
        8 test images of folder:pets (valid/), 2 left out
        """
        return self.in_short(f" of {self.data}")

    def in_short(self, of: str = "") -> str:
        """Without the name of the data, where that is known."""
        images = str(self.images) if self.of is None else f"the first {self.images} of {self.of}"
        called = f" ({self.called})" if self.called else ""
        left_out = f", {self.left_out} left out" if self.left_out else ""
        return f"{images} {self.split} image{'s' * (self.images != 1)}{of}{called}{left_out}"

    def to_json(self) -> dict[str, Any]:
        """As programs read it."""
        return {"split": self.split, "called": self.called or None, "images": self.images, "left_out": self.left_out}


def portion_of(source: Source, name: str, split: Split, images: int, limited: bool) -> Portion:
    """A split of which so many images were seen; see `Data.portion`."""
    called = source.called.get(name, "")
    if name == "validation" and "validation" not in source.splits:
        called = f"held out of {source.called.get('train') or 'the training images'}"
    cut = limited and images < len(split)
    left_out = len(split.left_out) + (0 if cut else len(split) - images)
    return Portion(source.name, name, called, images, left_out, len(split) if cut else None)


def notes_of(source: Source, name: str) -> Iterator[str]:
    """What a person should know who reads a split: what was left out, and where it is not all that was pointed at."""
    split = source.split(name)
    for place, left_out in ((f"of its {name} images", split.left_out), ("outside of its splits", source.left_out())):
        if left_out:
            yield f"{source.name}, left out {place}: {in_words(left_out)}"
    if source.undivided is not None:
        held, of = len(source.split("test")), len(source.undivided())
        yield (
            f"{source.name} has class folders and no splits: {held} of its {of} images, the same in every run, are "
            "held out as test images"
        )
