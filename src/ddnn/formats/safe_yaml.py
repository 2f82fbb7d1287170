"""YAML that may come from anybody: read without running code, without growing beyond its size, and without guessing.

PyYAML's safe loader runs no code, but it lets a few hundred bytes of aliases stand for billions of values, fails with
Python's own errors on nested or odd values, and takes the last of two equal keys. All YAML is looked at here, before
anything else reads it.
"""

from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1 << 18
MOST_VALUES = 20_000
"""Of a document in which every alias is replaced by what it stands for."""
DEEPEST = 30
MOST_DIGITS = 300
"""Of a number; those of a float of 64 bits that are written out."""


class UnusableYaml(ValueError):
    """A text that is no YAML, or more than a configuration can be; the message is one line."""


def read_yaml(path: Path) -> Any:
    """The document in a file.

    Raises:
        UnusableYaml: it cannot be read, or is no YAML of the allowed kind.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UnusableYaml(f"it has more than the {MOST_BYTES:,} bytes that a configuration may have")
        return parse_yaml(content.decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableYaml(" ".join(str(error).split())) from None


def parse_yaml(text: str) -> Any:
    """The document in a text.

    Raises:
        UnusableYaml: it is no YAML of the allowed kind.

    >>> parse_yaml("epochs: 3\\nsubnets: [resnet8]")
    {'epochs': 3, 'subnets': ['resnet8']}
    >>> parse_yaml("epochs: 3\\nepochs: 4")
    Traceback (most recent call last):
    ...
    ddnn.formats.safe_yaml.UnusableYaml: it has the key epochs twice, in line 2
    """
    try:
        _check_depth(text)
        loader = _Strict(text)
        try:
            node = loader.get_single_node()
            _check_nodes(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except UnusableYaml:
        raise
    except yaml.YAMLError as error:
        raise UnusableYaml(" ".join(str(error).split())) from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:  # of values with a wrong tag
        raise UnusableYaml(f"it has a value that is not what its tag says: {' '.join(str(error).split())}") from None


class _Strict(yaml.SafeLoader):
    """The safe loader, which refuses numbers that fill a page."""

    def construct_yaml_int(self, node: Any) -> int:
        if len(node.value) > MOST_DIGITS:
            raise UnusableYaml(f"the number in line {node.start_mark.line + 1} has more than {MOST_DIGITS} digits")
        return super().construct_yaml_int(node)


_Strict.add_constructor("tag:yaml.org,2002:int", _Strict.construct_yaml_int)


def _check_depth(text: str) -> None:
    """Look at the nesting, in which PyYAML's parser does not call itself and its loader does."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise UnusableYaml(f"it is nested more than {DEEPEST} deep, in line {event.start_mark.line + 1}")


def _check_nodes(node: Any) -> None:
    """Count the values, those of an alias again each time; one that is inside itself never ends. On the way, refuse
    keys that are there twice."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(inner: Any) -> int:
        if id(inner) in open_nodes:
            raise UnusableYaml(f"the alias in line {inner.start_mark.line + 1} stands for what it is in")
        if id(inner) not in sizes:
            _check_keys(inner)
            open_nodes.add(id(inner))
            sizes[id(inner)] = 1 + sum(map(size, _children(inner)))
            open_nodes.discard(id(inner))
        return sizes[id(inner)]

    if node is not None and size(node) > MOST_VALUES:
        raise UnusableYaml(
            f"it has more than the {MOST_VALUES:,} values that a configuration may have, each alias counted as what it "
            "stands for"
        )


def _check_keys(node: Any) -> None:
    seen = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
        if name in seen:
            raise UnusableYaml(f"it has the key {key.value} twice, in line {key.start_mark.line + 1}")
        seen.add(name)


def _children(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
