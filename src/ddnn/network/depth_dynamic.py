"""The depth-level dynamic neural network: a full net and its sub-nets, as stock models with tied weights.

`DepthDynamicNetwork` holds them, calls them, and knows what they have in common. There is no state to switch: the
active depth is the module that is called.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError, near
from ddnn.families import Depth, Family, Step, resolve_depths
from ddnn.network import storage
from ddnn.network.cascade import CascadeOutput, run_cascade
from ddnn.network.lanes import ForkGradients, Output, run, run_separately
from ddnn.network.norm_statistics import calibrate
from ddnn.network.private_norms import make_norms_private
from ddnn.network.routes import Routes
from ddnn.network.segments import Segment, whole_nets
from ddnn.network.sharing import corresponding_paths, detach_parts, share_modules, tie
from ddnn_runtime.cascade_spec import check_boost, participants
from ddnn_runtime.data_spec import DataSpec


class DepthDynamicNetwork(nn.Module):
    """One network, several depths.

    Make one with `ddnn.build` or `ddnn.from_model`, read one with `ddnn.load`.

    Args:
        family: the family of all its nets.
        full: name and depth of the full net.
        model: the full net itself; it becomes part of this network.
        num_classes: its outputs.
        in_channels: channels of the images.
        options: the family's options that `model` was built with.
        data_spec: what the network was trained on, once that is known.

    Example:
        >>> import ddnn, torch
        >>> net = ddnn.build("resnet20", subnets=["resnet8"], num_classes=10)
        >>> net.names
        ('resnet8', 'resnet20')
        >>> net(torch.zeros(2, 3, 32, 32), "resnet8").shape
        torch.Size([2, 10])
    """

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
        if name not in self.depths:
            raise DDNNError(f"this network has no sub-net {name!r}; {near(str(name), self.names)}")
        return self.nets[_key(name)]

    def __contains__(self, name: object) -> bool:
        return name in self.depths

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def forward(self, x: Tensor, name: str | None = None) -> Tensor:
        """Logits (batch, classes) of one net, by default the full net, for images (batch, channels, height, width)."""
        return self[self.full if name is None else name](x)

    def forward_all(
        self,
        x: Tensor,
        names: Iterable[str] | None = None,
        *,
        recompute: bool = False,
        fork_gradients: ForkGradients = "sum",
        teaching: Iterable[str] = (),
    ) -> dict[str, Output]:
        """Logits and features of several nets, what they have in common computed once.

        In training mode the running statistics of the common part are updated once, as those of each stock model
        would be.

        Args:
            x: images, (batch, channels, height, width).
            names: the nets to run; all of them by default. The deepest of them comes last, and is the teacher of
                objectives that have one.
            recompute: activation checkpointing: keep only what goes into each step, and compute the rest again in the
                backward pass; less memory for more time (docs/performance.md has figures).
            fork_gradients: what flows back into what nets have in common: the sum of their gradients, or the mean, so
                that it does not grow with the number of nets (gradient equilibrium, see `ddnn.network.fork_gradients`).
            teaching: nets among `names` that only teach: past what they have in common with others they run without a
                gradient.

        Returns:
            For each name, shallow to deep, its logits and one feature a stage.

        Raises:
            DDNNError: for an unknown name, or if `recompute` or the mean is wanted of nets that cannot be told apart
                into steps.

        Example:
            >>> import ddnn, torch
            >>> net = ddnn.build("resnet20", subnets=["resnet8"], num_classes=10)
            >>> outputs = net.forward_all(torch.zeros(2, 3, 32, 32))
            >>> [tuple(feature.shape) for feature in outputs["resnet8"].features]
            [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
        """
        nets = self._chosen(names)
        taught = tuple(self._chosen(teaching))
        if recompute:
            self.check_recompute()
        if fork_gradients != "sum":
            self.check_forks()
        if not self.shares_prefix:
            return {name: self._run_separately(name, x, name not in taught) for name in nets}
        return run(self._routes.plan(tuple(nets), taught), nets, x, recompute, fork_gradients)

    def cascade(
        self, x: Tensor, thresholds: Mapping[str, float], *, last: str | None = None, boost: float = 0.0
    ) -> CascadeOutput:
        """For each image the answer of the first net that is sure enough; what nets have in common is computed once.

        Args:
            x: images, (batch, channels, height, width).
            thresholds: the nets to ask, and the confidence (largest softmax probability) in [0, 1] from which each
                one's answer is taken; they are asked shallow to deep.
            last: the net that answers what is left, which has no threshold; the full net by default.
            boost: share, in [0, 1], of the logits of the net asked before that is added to a net's own, see
                `ddnn.network.cascade`; thresholds suit the share that they were chosen with.

        Raises:
            DDNNError: in training mode; for unknown nets, nets not before `last`, or numbers outside [0, 1].

        Example:
            >>> import ddnn, torch
            >>> net = ddnn.build("resnet20", subnets=["resnet8"], num_classes=10).eval()
            >>> net.cascade(torch.zeros(2, 3, 32, 32), {"resnet8": 0.9}).logits.shape
            torch.Size([2, 10])
        """
        nets = {name: self[name] for name in participants(self.names, thresholds, last)}
        return run_cascade(nets, self.segments(nets), thresholds, x, check_boost(boost))

    def segments(self, names: Iterable[str] | None = None) -> tuple[Segment, ...]:
        """What several nets consist of, cut where they part: each segment after the one whose value goes into it.

        Args:
            names: the nets; all of them by default. An unknown one is a DDNNError.

        Example:
            >>> import ddnn
            >>> net = ddnn.build("resnet20", subnets=["resnet8"], num_classes=10)
            >>> [(segment.source, segment.nets, segment.leaf) for segment in net.segments()]
            [(None, ('resnet8', 'resnet20'), None), (0, ('resnet8',), 'resnet8'), (0, ('resnet20',), 'resnet20')]
        """
        chosen = tuple(self._chosen(names))
        return self._routes.segments(chosen) if self.shares_prefix else whole_nets(chosen)

    def check_recompute(self) -> None:
        """Raise a DDNNError if `forward_all` cannot recompute, because the nets are not known as steps."""
        if not self.shares_prefix:
            raise DDNNError(
                f"activation_checkpointing is not possible for {self.full}: its forward pass could not be split into "
                "blocks; leave it out"
            )

    def check_forks(self) -> None:
        """Raise a DDNNError if `forward_all` does not see where nets part, because they are not known as steps."""
        if not self.shares_prefix and self.subnet_names:
            raise DDNNError(
                f"fork_gradients mean is not possible for {self.full}: its forward pass could not be split into "
                "blocks, so its nets run one by one; leave it out"
            )

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
        self._check_name(name)
        depth = resolve_depths(self.family, self.depths[self.full], {name: depth})[name]
        same = [other for other, size in self.depths.items() if size == depth]
        if same:
            raise DDNNError(f"{name} has the depth {depth} of {same[0]}, which is in the network already")
        steps = self.family.steps(depth)
        subnet = self._tied(depth, steps, private_norms)
        if calibrate_with is not None:
            calibrate(subnet, set(self.modules()), calibrate_with)
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
        storage.write_network(Path(path), self.tensors(), self.config())

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

    def _run_separately(self, name: str, x: Tensor, learns: bool) -> Output:
        ends = self.family.stage_ends(self.depths[name])
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            return run_separately(self[name], ends, x, self.family.feature)

    def _hold(self, name: str, depth: Depth, model: nn.Module, steps: list[Step] | None, private_norms: bool) -> None:
        self._check_name(name)
        self.nets[_key(name)] = model
        self.depths[name] = depth
        self.names = tuple(sorted(self.depths, key=lambda other: (other == self.full, *self._size(other))))
        self._routes.add(name, steps, private_norms)

    def _chosen(self, names: Iterable[str] | None) -> dict[str, nn.Module]:
        """These nets, or all, shallow to deep."""
        chosen = {name: self[name] for name in (self.names if names is None else names)}
        return {name: chosen[name] for name in self.names if name in chosen}

    def _size(self, name: str) -> tuple[int, Depth]:
        return sum(self.depths[name]), self.depths[name]

    def _check_name(self, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise DDNNError(f"{name!r} cannot name a sub-net: use letters, digits, - and _, such as 'tiny'")
        if name in self.depths:
            raise DDNNError(f"this network has a net named {name} already; names in use: {', '.join(self.names)}")


def _key(name: str) -> str:
    """`ModuleDict` refuses names that `Module` has, such as half."""
    return f"net_{name}"
