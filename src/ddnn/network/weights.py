"""Start from weights that are there: torchvision's, timm's, or a state dict in a file.

Those of the full net are those of all sub-nets, but for what is private to a sub-net (its running statistics, and its
norms' weights if they are private), which may come from a checkpoint of that sub-net. A head for another number of
classes is left fresh, and that is said.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from ddnn.errors import DDNNError, ModelFileError, first_line
from ddnn.network.checkpoint_files import SUFFIXES, fitted, read_checkpoint

State = Mapping[str, Tensor]


def read_weights(source: str | Path, model: str) -> dict[str, Tensor]:
    """The state dict that `source` names.

    Args:
        source: a file; the name of torchvision's weights of that model, such as "IMAGENET1K_V1" or "DEFAULT"; or
            "timm/NAME" for a pretrained model of timm's in the same layout.
        model: the name of the net that it is for.

    Raises:
        ModelFileError: if a file is missing, damaged, or holds other objects, which would be code to run.
        DDNNError: for an unknown name, or weights that cannot be downloaded.
    """
    text = str(source)
    if Path(text).suffix in SUFFIXES or Path(text).is_file():
        return read_checkpoint(Path(text))
    if text.startswith("timm/"):
        return _download(text, lambda: _timm_state(text.removeprefix("timm/")))
    names = torchvision_weights(model)
    name = text.rpartition(".")[2]
    if name not in names:
        known = f"torchvision's for {model} are {', '.join(names)}" if names else f"torchvision has none for {model}"
        raise DDNNError(
            f"unknown weights {text!r}: give a {', '.join(SUFFIXES)} file, timm/NAME, or torchvision's; {known}"
        )
    return _download(text, lambda: names[name].get_state_dict(progress=False, check_hash=True))


def torchvision_weights(model: str) -> dict[str, Any]:
    """Torchvision's pretrained weights of a model, by name."""
    if model not in torchvision.models.list_models(module=torchvision.models):
        return {}
    entries = torchvision.models.get_model_weights(model)
    return {**entries.__members__, "DEFAULT": entries["DEFAULT"]}


def load_weights(model: nn.Module, state: State, source: str, head: tuple[str, ...]) -> None:
    """Load a state dict of the same architecture into `model`.

    Args:
        model: a stock model.
        state: names to tensors.
        source: what to call it in messages.
        head: paths of the modules that give the logits; they stay fresh if the classes are others.

    Raises:
        ModelFileError: if names or shapes differ but for the head's.
    """
    own = model.state_dict()
    state = _as_of_today(fitted(state, own, source), own)
    absent = own.keys() - state.keys()
    headless = {key for key in absent if _is_head(key, head)}
    wrong = [f"{key} is missing there" for key in absent - headless]
    wrong += [f"{key} is none of its" for key in state.keys() - own.keys() if not (headless and _is_head(key, head))]
    differing = [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]
    resized = [key for key in differing if _is_head(key, head) and own[key].shape[1:] == state[key].shape[1:]]
    wrong += [
        f"{key} is {tuple(state[key].shape)} there and {tuple(own[key].shape)} in the net"
        for key in differing
        if key not in resized
    ]
    spoilt = [key for key, tensor in state.items() if tensor.is_floating_point() and tensor.isnan().any()]
    if spoilt and not wrong:
        raise ModelFileError(f"{source} is spoilt: {spoilt[0]} holds values that are no numbers; start from others")
    if wrong:
        raise ModelFileError(f"{source} is no state dict of this net: {len(wrong)} entries differ; {sorted(wrong)[0]}")
    fresh = {*headless, *resized}
    if fresh:
        why = (f"for {state[resized[0]].shape[0]} classes and this network for {own[resized[0]].shape[0]}" if resized
               else "without a head of this form")  # fmt: skip
        warnings.warn(f"{source} is {why}: its head starts fresh ({', '.join(sorted(fresh))})", stacklevel=3)
    model.load_state_dict({key: own[key] if key in fresh else state[key] for key in own})


@torch.no_grad()
def load_private(subnet: nn.Module, full: nn.Module, state: State, source: str) -> None:
    """Load what is a sub-net's own, such as running statistics and private norms, from a checkpoint of that sub-net.

    Raises:
        ModelFileError: if one is missing there, or has another shape.
    """
    shared = {id(tensor) for tensor in [*full.parameters(), *full.buffers()]}
    own = subnet.state_dict()
    stored, state = own.keys(), _as_of_today(fitted(state, own, source), own)
    for name, tensor in [*subnet.named_parameters(), *subnet.named_buffers()]:
        if id(tensor) in shared or name not in stored:
            continue
        if name not in state or state[name].shape != tensor.shape:
            raise ModelFileError(f"{source} is no state dict of this sub-net: {name} is missing or has another shape")
        tensor.copy_(state[name])


def _as_of_today(state: State, own: State) -> State:
    """Before torch 0.4.1 norms did not count their batches: that count, which only momentum None reads, is added."""
    counters = {key: value for key, value in own.items() if key.endswith(".num_batches_tracked")}
    return {**counters, **state}


def _is_head(key: str, head: tuple[str, ...]) -> bool:
    return any(key.startswith(f"{path}.") for path in head)


def _timm_state(name: str) -> dict[str, Tensor]:
    try:
        import timm
    except ImportError:
        raise DDNNError("weights of timm's need timm: pip install ddnn[timm]") from None
    return timm.create_model(name, pretrained=True).state_dict()


def _download(source: str, fetch: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    try:
        return dict(fetch())
    except DDNNError:
        raise
    except Exception as error:  # each hub client raises errors of its own
        raise DDNNError(
            f"weights {source!r} could not be fetched: {first_line(error)}; download them elsewhere, and give the file"
        ) from None
