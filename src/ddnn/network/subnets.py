"""Which sub-nets may stand in one network: names that are free, depths that nest, none of them twice.

Whoever makes or opens a network asks here, once and before anything is built; what the answer is given to need not look
again.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from ddnn.errors import DDNNError, near
from ddnn.families import Depth, Family, resolve_depths
from ddnn.formats.arguments import depth_of, names_of
from ddnn_runtime.untrusted import LONGEST_TEXT, shown

Subnets = Iterable[str] | Mapping[str, Depth]
"""Names of members of a family, or a depth for each name of one's own."""
PrivateNorms = bool | Literal["shallowest"] | Iterable[str]
"""All sub-nets or none, the shallowest, or those of these names."""


def named_depths(subnets: Subnets) -> dict[str, Depth | None]:
    """The sub-nets as they are asked for: the depth of each, None for those whose name says it.

    Raises:
        DDNNError: for a depth that is none, or a name that is given twice.
    """
    if isinstance(subnets, str):
        raise DDNNError(f"subnets must be a list of names or a depth for each name; write [{shown(subnets)}]")
    if isinstance(subnets, Mapping):
        return {name: depth_of(depth, name) for name, depth in subnets.items()}
    names = names_of(subnets, "subnets")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DDNNError(f"{', '.join(twice)} is named twice among the sub-nets")
    return dict.fromkeys(names)


def resolve_subnets(
    family: Family, full: str, held: Mapping[str, Depth], wanted: Mapping[str, Depth | None]
) -> dict[str, Depth]:
    """The depth of each sub-net that is wanted.

    Args:
        family: of all nets.
        full: the name of the full net.
        held: the depths of the nets that there are, the full net's among them.
        wanted: as `named_depths` gives them.

    Raises:
        DDNNError: for a name that is taken or can be none, a depth that does not nest, or one that another net has.
    """
    for name in wanted:
        if name in held and name != full:
            raise DDNNError(f"this network has a net named {name} already; names in use: {_listed(held)}")
    depths = resolve_depths(family, held[full], wanted)
    if full in depths:
        raise DDNNError(f"{full} is the full net; a sub-net needs another name")
    by_depth = {depth: name for name, depth in held.items()}
    for name, depth in depths.items():
        check_name(name)
        other = by_depth.setdefault(depth, name)
        if other in held:
            raise DDNNError(f"{name} has the depth {depth} of {other}, which is in the network already")
        if other != name:
            raise DDNNError(f"{other} and {name} have the same depth {depth}; keep one of them")
    return depths


def check_name(name: str) -> None:
    """Raise a DDNNError if a net cannot have this name."""
    if not isinstance(name, str) or len(name) > LONGEST_TEXT or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise DDNNError(f"{shown(name)} cannot name a net: use letters, digits, - and _, such as 'tiny'")


def _listed(depths: Mapping[str, Depth]) -> str:
    return ", ".join(sorted(depths, key=lambda name: size(depths[name])))


def size(depth: Depth) -> tuple[int, Depth]:
    """What sorts nets shallow to deep.

    >>> sorted([(2, 1, 2), (1, 2, 1), (2, 2, 1)], key=size)
    [(1, 2, 1), (2, 1, 2), (2, 2, 1)]
    """
    return sum(depth), depth


def with_private_norms(wanted: PrivateNorms, subnets: Mapping[str, Depth]) -> Collection[str]:
    """The names of the sub-nets that get private norms.

    Args:
        wanted: what was asked for.
        subnets: the depth of each.
    """
    if isinstance(wanted, str) and wanted == "shallowest":
        return sorted(subnets, key=lambda name: size(subnets[name]))[:1]
    if isinstance(wanted, bool):
        return subnets if wanted else ()
    if isinstance(wanted, str) or not isinstance(wanted, Iterable) or not getattr(wanted, "ndim", 1):
        example = [wanted] if isinstance(wanted, str) else [*subnets][:1]
        raise DDNNError(
            f"private_norms must be True, False or a list of sub-nets such as {example}, not {shown(wanted)}"
        )
    names = list(wanted)
    for name in names:
        if not isinstance(name, str) or name not in subnets:
            known = near(str(name), subnets) if subnets else "there are none"
            raise DDNNError(f"private norms are wanted for {name!r}, which is no sub-net here; {known}")
    return names
