"""Run several nets on one input and compute what they have in common once, forward and so backward too.

Two nets that keep the first blocks of each stage compute the same thing until their depths first differ. So all nets
go through the full net's steps side by side, in *lanes*: nets that have taken the same steps so far have the same
value and are in one lane, and a lane takes a step once, for all of them. Where several lanes take a step, they stand
on the same weights, and may take it in one call (see `ddnn.network.joint_call`). This is what makes training the nets
together cheaper than one by one. A net with norms of its own shares its lane as far as it goes with the full net.

Nets that only teach take part without a gradient from where they have left all others.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError
from ddnn.families.family import Step
from ddnn.network.fork_gradients import scaled
from ddnn.network.joint_call import can_pay, joint_call
from ddnn.network.recomputing import recomputed
from ddnn_runtime.untrusted import shown

ForkGradients = Literal["sum", "mean"]
"""What flows into what nets have in common: the sum of their gradients, or the mean, see
`ddnn.network.fork_gradients`."""


def check_fork_gradients(given: str) -> None:
    """Raise a DDNNError if it is no `ForkGradients`."""
    if given not in get_args(ForkGradients):
        raise DDNNError(f"fork_gradients must be sum or mean, not {shown(given)}")


class Output(NamedTuple):
    """What one net gives for a batch.

    Args:
        logits: (batch, classes).
        features: the value at the end of each stage, (batch, channels, height, width) in convolutional nets.
    """

    logits: Tensor
    features: tuple[Tensor, ...]


@dataclass(frozen=True)
class Turn:
    """A step, and the nets that take it.

    Args:
        lanes: names of the nets, those that have the same value before the step in one lane; the modules that run are
            those of the first of each lane.
        steps: the step of each lane.
        ends: the nets for which the value after it is the feature of a stage; a block that ends a stage in one net
            may have others after it in another.
        joint: whether the lanes may take the step in one call.
        shares: of each lane, the share of the nets that had its value before the step and learn.
        learners: of each lane, how many of its nets learn.
    """

    lanes: tuple[tuple[str, ...], ...]
    steps: tuple[Step, ...]
    ends: frozenset[str]
    joint: bool
    shares: tuple[float, ...]
    learners: tuple[int, ...]

    @property
    def learns(self) -> bool:
        """Whether any net does that takes the step."""
        return any(self.learners)

    def mode(self) -> AbstractContextManager[Any]:
        """In which to run: without a gradient where nobody learns."""
        return nullcontext() if self.learns else torch.no_grad()

    def run(self, nets: Mapping[str, nn.Module], *values: Any) -> Sequence[Any]:
        """The value of each lane after the step."""
        models = [nets[lane[0]] for lane in self.lanes]
        if self.joint and can_pay(self.steps[0], models[0], values):
            together = joint_call(self.steps, models, values)
            if together is not None:
                return together
        return [step.run(model, value) for step, model, value in zip(self.steps, models, values, strict=True)]

    def modules(self, nets: Mapping[str, nn.Module]) -> list[nn.Module]:
        """The modules that run."""
        return [
            module for lane, step in zip(self.lanes, self.steps, strict=True) for module in step.modules(nets[lane[0]])
        ]


Plan = tuple[Turn, ...]


def plan(
    paths: Mapping[str, list[Step]],
    order: Iterable[str],
    joint: bool,
    private: Collection[str] = (),
    teaching: Collection[str] = (),
) -> Plan:
    """In which turns the nets go through their steps.

    Args:
        paths: the steps of each net, by its name.
        order: keys of all steps of the full net; every net takes some of them, in this order.
        joint: whether several lanes may take a step in one call.
        private: nets that share no value with any other once they have left out a step of the full net.
        teaching: nets that only teach.
    """
    steps = {name: {step.key: step for step in path} for name, path in paths.items()}
    order = list(order)
    assert all(list(own) == [key for key in order if key in own] for own in steps.values()), "a net has its own order"
    place: dict[str, tuple[int, int] | str] = dict.fromkeys(paths, (-1, 0))  # nets at one place have one value
    before: dict[str, tuple[str, ...]] = dict.fromkeys(paths, tuple(paths))  # the nets that have had its value
    turns: list[Turn] = []
    for key in order:
        lanes: dict[tuple[int, int] | str, list[str]] = {}
        for name in paths:
            if key in steps[name]:
                lanes.setdefault(place[name], []).append(name)
            elif name in private:
                place[name] = name
        for learn in (True, False):
            own = [tuple(lane) for lane in lanes.values() if any(name not in teaching for name in lane) == learn]
            if own:
                turns.append(_turn(key, own, steps, joint, before, teaching))
                place |= {name: (len(turns), number) for number, lane in enumerate(own) for name in lane}
                before |= {name: lane for lane in own for name in lane}
    return tuple(turns)


def _turn(
    key: str,
    lanes: Sequence[tuple[str, ...]],
    steps: Mapping[str, Mapping[str, Step]],
    joint: bool,
    before: Mapping[str, tuple[str, ...]],
    teaching: Collection[str],
) -> Turn:
    ends = frozenset(name for lane in lanes for name in lane if steps[name][key].ends_stage)
    learners = [sum(name not in teaching for name in lane) for lane in lanes]
    of = [sum(name not in teaching for name in before[lane[0]]) for lane in lanes]
    shares = tuple(count / max(1, most) for count, most in zip(learners, of, strict=True))
    own = tuple(steps[lane[0]][key] for lane in lanes)
    return Turn(tuple(lanes), own, ends, joint and len(lanes) > 1, shares, tuple(learners))


def run(
    turns: Plan,
    nets: Mapping[str, nn.Module],
    x: Tensor,
    recompute: bool = False,
    fork_gradients: ForkGradients = "sum",
) -> dict[str, Output]:
    """Every net's output for the images `x`.

    Args:
        turns: of these nets.
        nets: by name.
        x: images, (batch, channels, height, width).
        recompute: keep only what goes into each turn for the backward pass.
        fork_gradients: what flows back where nets part. With the mean, what a net's own feature sends back counts one
            over the number of nets that have it in common, as what its logits send back does.
    """
    mean = fork_gradients == "mean"
    reached: dict[str, Any] = dict.fromkeys(nets, x)
    features: dict[str, tuple[Tensor, ...]] = dict.fromkeys(nets, ())
    for turn in turns:
        take = recomputed(turn.run, turn.modules(nets)) if recompute and turn.learns else turn.run
        given = [reached[lane[0]] for lane in turn.lanes]
        if mean and turn.learns:
            given = [scaled(value, share) for value, share in zip(given, turn.shares, strict=True)]
        with turn.mode():
            values = take(nets, *given)
        for lane, own, value, learners in zip(turn.lanes, turn.steps, values, turn.learners, strict=True):
            for name in lane:
                reached[name] = value
                if name in turn.ends:
                    feature = own.feature(scaled(value, 1 / learners) if mean and learners else value)
                    features[name] = (*features[name], feature)
    return {name: Output(reached[name], features[name]) for name in nets}


def run_separately(
    model: nn.Module, stage_ends: tuple[str, ...], x: Tensor, feature: Callable[[Any], Tensor]
) -> Output:
    """The output of a model that cannot be described as steps; its features are caught as they pass.

    Args:
        model: any model.
        stage_ends: paths of the modules whose outputs are the features.
        x: the input.
        feature: makes (batch, channels, height, width) of such an output.
    """
    features: dict[str, Tensor] = {}

    def catch(path: str) -> Any:
        return lambda _module, _inputs, output: features.__setitem__(path, feature(output))

    handles = [model.get_submodule(path).register_forward_hook(catch(path)) for path in stage_ends]
    try:
        logits = model(x)
    finally:
        for handle in handles:
            handle.remove()
    return Output(logits, tuple(features[path] for path in stage_ends))
