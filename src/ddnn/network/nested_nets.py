"""The full net and its sub-nets as stock models with tied weights: which there are, what ties them, what is stored.

Nothing here runs them; that is `ddnn.network.depth_dynamic`.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError, near
from ddnn.families import Depth, Family, Step
from ddnn.formats.arguments import flag_of, path_of
from ddnn.network import storage
from ddnn.network.norm_statistics import set_statistics
from ddnn.network.private_norms import make_norms_private
from ddnn.network.routes import Routes
from ddnn.network.sharing import corresponding_paths, detach_parts, share_modules, tie
from ddnn.network.subnets import check_name, resolve_subnets, size
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.untrusted import shown


class NestedNets(nn.Module):
    """Nets of one family in one set of weights. Abstract: `DepthDynamicNetwork` says how they are called, and what the
    arguments are."""

    def __init__(
        self,
        family: Family,
        full: tuple[str, Depth],
        model: nn.Module,
        *,
        num_classes: int,
        in_channels: int = 3,
        options: Any = None,
        data_spec: DataSpec | None = None,
    ) -> None:
        super().__init__()
        self.family = family
        name, depth = full
        self.full: str = name
        check_name(self.full)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.options: Any = family.options() if options is None else options
        self.data_spec = data_spec
        self.depths: dict[str, Depth] = {}
        self.names: tuple[str, ...] = ()
        """All nets, shallow to deep; the full net is the last."""
        self._routes = Routes(self.full, family.images_are_independent)
        self.nets: nn.ModuleDict = nn.ModuleDict()
        self.training: bool = model.training
        self.nets.training = model.training
        self._hold(self.full, depth, model, family.steps(depth), private_norms=False)

    @property
    def subnet_names(self) -> tuple[str, ...]:
        """All nets but the full net, shallow to deep."""
        return self.names[:-1]

    @property
    def private_norms(self) -> tuple[str, ...]:
        """The sub-nets with normalisation weights of their own, shallow to deep."""
        return tuple(name for name in self.names if name in self._routes.private)

    @property
    def shares_prefix(self) -> bool:
        """Whether `forward_all` computes what the nets have in common once; False where they cannot be told apart
        into steps (see `ddnn.from_model`)."""
        return len(self._routes) == len(self.depths)

    def __getitem__(self, name: str) -> nn.Module:
        """The stock module of a net, its parameters tied to the full net's.

        Raises:
            DDNNError: if there is no net of that name.
        """
        if name not in self:
            raise DDNNError(f"this network has no sub-net {shown(name)}; {near(str(name)[:60], self.names)}")
        return self.nets[_key(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.depths

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def add_subnet(
        self,
        name: str,
        depth: Depth | None = None,
        *,
        calibrate_with: Iterable[Any] | None = None,
        private_norms: bool = False,
    ) -> None:
        """Add a sub-net that stands on the weights that are there.

        Args:
            name: the name of a member of the family, or a new name for `depth`.
            depth: blocks per stage; needed unless `name` is a member's.
            calibrate_with: image batches (or (images, labels) batches) for the running statistics that the sub-net
                does not share; without them it starts with the full net's, which suit a net that will be trained.
            private_norms: whether its normalisation layers past what it has in common with the full net get weights
                and biases of their own, which start as copies. It then shares modules with the full net alone.

        Raises:
            DDNNError: if the name is taken or no name, or the depth does not nest.
        """
        flag_of(private_norms, "private_norms")
        check_name(name)
        depth = resolve_subnets(self.family, self.full, self.depths, {name: depth})[name]
        self.tie_subnet(name, depth, calibrate_with=calibrate_with, private_norms=private_norms)

    def tie_subnet(
        self, name: str, depth: Depth, *, calibrate_with: Iterable[Any] | None = None, private_norms: bool = False
    ) -> None:
        """Add a sub-net whose name and depth `resolve_subnets` gave; see `add_subnet`, which asks it."""
        steps = self.family.steps(depth)
        subnet = self._tied(depth, steps, private_norms)
        if calibrate_with is not None:
            set_statistics(subnet, set(self.modules()), calibrate_with)
        self._hold(name, depth, subnet, steps, private_norms)

    def extract(self, name: str) -> nn.Module:
        """An independent stock model of one net: its `state_dict` loads into the stock class with `strict=True`."""
        return detach_parts(deepcopy(self[name]))

    def tensors(self) -> dict[str, Tensor]:
        """Each tensor once: the full net's under their stock names, what is a sub-net's own under `NAME/…`."""
        stored: dict[int, tuple[str, Tensor]] = {}
        for name in (self.full, *self.subnet_names):
            prefix = "" if name == self.full else f"{name}/"
            for key, tensor in self[name].state_dict(keep_vars=True).items():
                stored.setdefault(id(tensor), (prefix + key, tensor))
        return dict(stored.values())

    def save(self, path: str | Path) -> None:
        """Write `model.safetensors` (each weight once) and `config.json` into the directory `path`."""
        storage.write_network(path_of(path), self.tensors(), self.config())

    def config(self) -> dict[str, Any]:
        """What `ddnn.load` needs to build this network again, ready for JSON."""
        return {
            "family": self.family.name,
            "full": self.full,
            "depths": {name: list(self.depths[name]) for name in self.names},
            "private_norms": list(self.private_norms),
            "num_classes": self.num_classes,
            "in_channels": self.in_channels,
            "options": asdict(self.options),
            "data": None if self.data_spec is None else self.data_spec.to_json(),
        }

    def _tied(self, depth: Depth, steps: list[Step] | None, private_norms: bool) -> nn.Module:
        """A stock model of `depth` on this network's weights; its modules are another net's as far as both agree."""
        with torch.device("meta"):
            subnet = self.family.build(depth, self.num_classes, self.in_channels, self.options)
        if steps is None or not self.shares_prefix:
            tie(subnet, self[self.full], {"": ""}, {})
        else:
            slices = self.family.slices(depth, self.depths[self.full], self.options)
            tie(subnet, self[self.full], corresponding_paths(steps, self._routes[self.full]), slices)
            nearest, common = self._routes.nearest(steps, private_norms)
            share_modules(subnet, self[nearest], corresponding_paths(steps[:common], self._routes[nearest]))
        if private_norms:
            make_norms_private(subnet, self[self.full])
        return subnet

    def _hold(self, name: str, depth: Depth, model: nn.Module, steps: list[Step] | None, private_norms: bool) -> None:
        self.nets[_key(name)] = model
        self.depths[name] = depth
        self.names = tuple(sorted(self.depths, key=lambda other: (other == self.full, size(self.depths[other]))))
        self._routes.add(name, steps, private_norms)


def _key(name: str) -> str:
    """`ModuleDict` refuses names that `Module` has, such as half."""
    return f"net_{name}"
