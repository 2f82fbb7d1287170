"""What an image counts by its class, so that a rare class is not learnt as if it did not exist."""

from collections.abc import Mapping, Sequence

from ddnn.errors import DDNNError, near


def weights_of_classes(
    given: Mapping[str, float] | str, names: Sequence[str], counts: Sequence[int]
) -> tuple[float, ...] | None:
    """The weight of each class, in the order of the labels; None where all images count the same.

    Args:
        given: none; balanced, N / (C · n) for n of N images in one of the C classes that occur, so that all classes
            count the same together and an image 1 on average (King and Zeng, 2001; scikit-learn's "balanced"); or
            weights by names, 1 for the others.
        names: of the classes.
        counts: how many training images each has.

    Raises:
        DDNNError: a name is that of no class.

    >>> weights_of_classes("balanced", ["cat", "lynx"], [90, 10])
    (0.5555555555555556, 5.0)
    >>> weights_of_classes({"lynx": 3.0}, ["cat", "lynx"], [90, 10])
    (1.0, 3.0)
    """
    if given == "none" or not given:
        return None
    if not isinstance(given, Mapping):
        there = sum(count > 0 for count in counts)
        return tuple(sum(counts) / (there * count) if count else 1.0 for count in counts)
    for name in given:
        if name not in names:
            raise DDNNError(f"class_weights names {name!r}, which is no class here; {near(name, names)}")
    return tuple(float(given.get(name, 1.0)) for name in names)
