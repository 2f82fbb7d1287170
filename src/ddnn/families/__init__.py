"""The registry of families: which architectures nest, and how.

A new family is a new file with a `FAMILIES` tuple, and its name in the lines below; the contract tests find it here.
"""

from collections.abc import Mapping

from ddnn.errors import DDNNError, near
from ddnn.families import cifar_resnet, cifar_wide_resnet, convnext, densenet, resnet, swin, vgg, vit
from ddnn.families.family import Depth, Family, Step, nests
from ddnn.formats.arguments import depth_of
from ddnn_runtime.untrusted import shown

_MODULES = (resnet, vgg, densenet, convnext, swin, vit, cifar_resnet, cifar_wide_resnet)

REGISTRY: dict[str, Family] = {family.name: family for module in _MODULES for family in module.FAMILIES}

__all__ = ["REGISTRY", "Depth", "Family", "Step", "containing", "family_of", "resolve_depths"]


def family_of(member: str) -> Family:
    """The family that has a member of this name.

    Raises:
        DDNNError: if none has; the message names the near matches and all members.
    """
    for family in REGISTRY.values():
        if member in family.members:
            return family
    members = [name for family in REGISTRY.values() for name in family.members]
    raise DDNNError(f"unknown model {member!r}; {near(member, members)} (`ddnn families` lists them)")


def containing(family: Family, member: str) -> list[str]:
    """The members of the family that `member` is a sub-net of.

    >>> containing(REGISTRY["resnet_bottleneck"], "resnet50")
    ['resnet101', 'resnet152']
    """
    own = family.members[member]
    return [other for other, depth in family.members.items() if depth != own and nests(own, depth)]


def resolve_depths(family: Family, full: Depth, subnets: Mapping[str, Depth | None]) -> dict[str, Depth]:
    """The depth of each sub-net, checked to nest in the full net before anything is built.

    Args:
        family: the family of the full net.
        full: the depth of the full net.
        subnets: a depth for each name; None means that the name is a member's.

    Raises:
        DDNNError: for an unknown name, a member of another family, or a depth that does not nest.
    """
    return {name: _resolve(family, full, name, depth) for name, depth in subnets.items()}


def _resolve(family: Family, full: Depth, name: str, depth: Depth | None) -> Depth:
    if not isinstance(name, str):
        raise DDNNError(f"a sub-net must have a text as its name, not {shown(name)}")
    inner = [member for member, size in family.members.items() if nests(size, full) and size != full]
    allowed = f"allowed here: {', '.join(inner) or 'no named member'}, or a depth per stage of at most {full}"
    if depth is None:
        depth = family.depth_of(name)
        if depth is None:
            other = family_of(name)  # an unknown name is refused here, with its near matches
            raise DDNNError(
                f"{name} does not nest: it is of the family {other.name}, the full net of {family.name}, "
                f"whose blocks have other shapes; {allowed}"
            )
    depth = depth_of(depth, name)
    taken = {member: size for known in REGISTRY.values() for member, size in known.members.items()}
    if family.name in REGISTRY and name in taken and (family.members.get(name) != depth):
        raise DDNNError(
            f"{name} is the name of another net, of depth {taken[name]}; give the depth {depth} another name"
        )
    family.check(depth)
    if not nests(depth, full) or depth == full:
        reason = "it is the full net itself" if depth == full else "it has more blocks in a stage than the full net"
        raise DDNNError(f"{name} with depth {depth} does not nest in {full}: {reason}; {allowed}")
    return depth
