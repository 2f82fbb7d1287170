"""A source with the classes of the network that is scored on it, and a word on what is not the same."""

from dataclasses import replace

import numpy as np

from ddnn.data.class_names import ClassesFrom, listed, to_network
from ddnn.data.splits import Source
from ddnn_runtime.data_spec import DataSpec


def with_classes_of(source: Source, spec: DataSpec, given: ClassesFrom | None) -> Source:
    """The source with the network's classes, matched by name; its notes say what is not the same.

    Raises:
        DataError: some of its classes are none of the network's.
    """
    known = spec.class_names
    if source.class_names == known and given is None:
        return source
    classes = to_network(source.name, source.class_names, known, source.has_names, given)
    notes = list(source.notes)
    if lacking := [name for number, name in enumerate(known) if number not in classes]:
        notes.append(
            f"{source.name} has {len(known) - len(lacking)} of the network's {len(known)} classes, and is scored by "
            f"their names; it lacks {listed(lacking)}"
        )
    elif (np.diff(classes) <= 0).any():
        notes.append(f"{source.name} has the network's classes in another order, and is scored by their names")
    if respelt := [
        f"{own!a} is {known[place]!a}"
        for own, place in zip(source.class_names, classes, strict=True)
        if place >= 0 and own != known[place]
    ]:
        notes.append(f"{source.name}: {', '.join(respelt[:5])}{', ...' if len(respelt) > 5 else ''}")
    return replace(source.with_classes(known, classes), notes=tuple(notes))
