"""Start from weights that are there: torchvision's, timm's, or a state dict in a file.

Those of the full net are those of all sub-nets, but for what is private to a sub-net (its running statistics, and its
norms' weights if they are private), which may come from a checkpoint of that sub-net. A head for another number of
classes is left fresh, and that is said.
"""

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
import torchvision
from torch import Tensor, nn

from ddnn.errors import DDNNError, ModelFileError, first_line
from ddnn.network.storage import is_whole_archive, read_tensors

State = Mapping[str, Tensor]
FILES = (".safetensors", ".pt", ".pth")


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
    if Path(text).suffix in FILES:
        return _read_file(Path(text))
    if text.startswith("timm/"):
        return _download(text, lambda: _timm_state(text.removeprefix("timm/")))
    names = torchvision_weights(model)
    name = text.rpartition(".")[2]
    if name not in names:
        known = f"torchvision's for {model} are {', '.join(names)}" if names else f"torchvision has none for {model}"
        raise DDNNError(
            f"unknown weights {text!r}: give a {', '.join(FILES)} file, timm/NAME, or torchvision's; {known}"
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
    wrong = [f"{key} is missing there" for key in own.keys() - state.keys()]
    wrong += [f"{key} is none of its" for key in state.keys() - own.keys()]
    differing = [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]
    fresh = [key for key in differing if _is_head(key, head) and own[key].shape[1:] == state[key].shape[1:]]
    wrong += [
        f"{key} is {tuple(state[key].shape)} there and {tuple(own[key].shape)} in the net"
        for key in differing
        if key not in fresh
    ]
    spoilt = [key for key, tensor in state.items() if tensor.is_floating_point() and tensor.isnan().any()]
    if spoilt and not wrong:
        raise ModelFileError(f"{source} is spoilt: {spoilt[0]} holds values that are no numbers; start from others")
    if wrong:
        raise ModelFileError(f"{source} is no state dict of this net: {len(wrong)} entries differ; {sorted(wrong)[0]}")
    if fresh:
        there, here = state[fresh[0]].shape[0], own[fresh[0]].shape[0]
        warnings.warn(f"{source} is for {there} classes and this network for {here}: its head starts fresh "
                      f"({', '.join(sorted(fresh))})", stacklevel=3)  # fmt: skip
    model.load_state_dict({key: own[key] if key in fresh else state[key] for key in own})


@torch.no_grad()
def load_private(subnet: nn.Module, full: nn.Module, state: State, source: str) -> None:
    """Load what is a sub-net's own, such as running statistics and private norms, from a checkpoint of that sub-net.

    Raises:
        ModelFileError: if one is missing there, or has another shape.
    """
    shared = {id(tensor) for tensor in [*full.parameters(), *full.buffers()]}
    stored = subnet.state_dict().keys()
    for name, tensor in [*subnet.named_parameters(), *subnet.named_buffers()]:
        if id(tensor) in shared or name not in stored:
            continue
        if name not in state or state[name].shape != tensor.shape:
            raise ModelFileError(f"{source} is no state dict of this sub-net: {name} is missing or has another shape")
        tensor.copy_(state[name])


def _is_head(key: str, head: tuple[str, ...]) -> bool:
    return any(key.startswith(f"{path}.") for path in head)


def _read_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; weights must be a {', '.join(FILES)} file")
    if path.suffix == ".safetensors":
        return read_tensors(path)
    if is_zipfile(path) and not is_whole_archive(path):  # torch does not look at the checksums
        raise ModelFileError(f"{path} is damaged: the checksums in it differ; copy or download it again")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelFileError(
            f"{path} holds other things than tensors, or is damaged, and was not unpickled, since that could run code; "
            "save model.state_dict() alone"
        ) from None
    except Exception as error:  # torch.load lets through whatever a damaged archive makes pickle or zip raise
        raise ModelFileError(f"{path} cannot be read as a state dict: {type(error).__name__}") from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelFileError(f"{path} holds no state dict: it must map names to tensors")
    return dict(state)


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
