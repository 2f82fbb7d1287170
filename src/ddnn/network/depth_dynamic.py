"""The depth-level dynamic neural network: how a full net and its sub-nets are called, alone and together.

There is no state to switch: the active depth is the module that is called.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError
from ddnn.formats.arguments import flag_of, names_of
from ddnn.network.cascade import CascadeOutput, run_cascade
from ddnn.network.inputs import refuse_images
from ddnn.network.lanes import ForkGradients, Output, check_fork_gradients, run, run_separately
from ddnn.network.nested_nets import NestedNets
from ddnn.network.segments import Segment, whole_nets
from ddnn_runtime.cascade_spec import check_boost, participants


class DepthDynamicNetwork(NestedNets):
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

    def forward(self, x: Tensor, name: str | None = None) -> Tensor:
        """Logits (batch, classes) of one net, by default the full net, for images (batch, channels, height, width).

        Raises:
            DDNNError: if there is no such net, or it cannot take these images.
        """
        net = self[self.full if name is None else name]
        try:
            return net(x)
        except Exception as error:
            self._refuse(x, error)
            raise

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
            DDNNError: for an unknown name, images that the nets cannot take, or if `recompute` or the mean is wanted
                of nets that cannot be told apart into steps.

        Example:
            >>> import ddnn, torch
            >>> net = ddnn.build("resnet20", subnets=["resnet8"], num_classes=10)
            >>> outputs = net.forward_all(torch.zeros(2, 3, 32, 32))
            >>> [tuple(feature.shape) for feature in outputs["resnet8"].features]
            [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
        """
        nets = self._chosen(names)
        taught = tuple(self._chosen(teaching))
        if flag_of(recompute, "recompute"):
            self.check_recompute()
        if fork_gradients != "sum":
            check_fork_gradients(fork_gradients)
            self.check_forks()
        try:
            if not self.shares_prefix:
                return {name: self._run_separately(name, x, name not in taught) for name in nets}
            return run(self._routes.plan(tuple(nets), taught), nets, x, recompute, fork_gradients)
        except Exception as error:
            self._refuse(x, error)
            raise

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
            DDNNError: in training mode; for unknown nets, nets not before `last`, numbers outside [0, 1], or images
                that the nets cannot take.

        Example:
            >>> import ddnn, torch
            >>> net = ddnn.build("resnet20", subnets=["resnet8"], num_classes=10).eval()
            >>> net.cascade(torch.zeros(2, 3, 32, 32), {"resnet8": 0.9}).logits.shape
            torch.Size([2, 10])
        """
        nets = {name: self[name] for name in participants(self.names, thresholds, last)}
        share = check_boost(boost)
        try:
            return run_cascade(nets, self.segments(nets), thresholds, x, share)
        except Exception as error:
            self._refuse(x, error)
            raise

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

    def _refuse(self, images: Any, error: Exception) -> None:
        """Raise a DDNNError if the error comes of images that this network cannot take."""
        usual = self.data_spec.size if self.data_spec else self.family.default_input[1:]
        refuse_images(images, error, self, self.in_channels, usual)

    def _run_separately(self, name: str, x: Tensor, learns: bool) -> Output:
        ends = self.family.stage_ends(self.depths[name])
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            return run_separately(self[name], ends, x, self.family.feature)

    def _chosen(self, names: Iterable[str] | None) -> dict[str, nn.Module]:
        """These nets, or all, shallow to deep."""
        chosen = {name: self[name] for name in (self.names if names is None else names_of(names, "names"))}
        return {name: chosen[name] for name in self.names if name in chosen}
