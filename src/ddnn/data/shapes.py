"""Whether images are far from square, for where their ends are cut off nobody should have to guess it."""

from contextlib import suppress

from ddnn.data.images import spread
from ddnn.data.splits import Split
from ddnn.errors import DataError

_LOOKED_AT = 64
_LONG = 2.0  # the longer side over the shorter; of photographs it is 4:3, 3:2 or 16:9
_MANY = 0.2


def wide_images(split: Split) -> str | None:
    """A word where a fifth or more of the images are twice as long as they are high, or high as they are long.

    Args:
        split: of which up to 64 images are looked at, without decoding them; remote ones are not fetched for it.

    Returns:
        What to say; None if there is nothing to say.
    """
    if split.blocks is not None:
        return None
    sizes: list[tuple[int, int]] = []
    for place in spread(len(split), _LOOKED_AT):
        with suppress(DataError):  # it will be named when it is its turn
            sizes.append(split.images.dimensions(int(split.indices[place])))
    long = sum(max(size) >= _LONG * min(size) for size in sizes)
    if not sizes or long < _MANY * len(sizes):
        return None
    return (
        f"{long} of {len(sizes)} training images that were looked at are at least twice as long as they are high, or "
        "the other way round, and what is not in the centre is cut off; to see all of them, give --resize pad or "
        "--resize squeeze"
    )
