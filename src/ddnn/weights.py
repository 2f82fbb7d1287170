"""Start the full net from a state dict in a file."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ddnn.errors import ModelFileError
from ddnn.storage import read_tensors


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a .pt or .pth file that holds tensors alone.

    Raises:
        ModelFileError: if the file is missing, damaged, or holds other objects, which would be code to run.
    """
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; weights must be a .safetensors, .pt or .pth file")
    if path.suffix == ".safetensors":
        return read_tensors(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ModelFileError(f"{path} cannot be read as a state dict: {str(error).splitlines()[0]}") from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelFileError(f"{path} holds no state dict: it must map names to tensors")
    return dict(state)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict of the same architecture into `model`.

    Raises:
        ModelFileError: if names or shapes differ.
    """
    state = read_state_dict(path)
    own = model.state_dict()
    wrong = sorted(own.keys() ^ state.keys())
    wrong += [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]
    if wrong:
        raise ModelFileError(
            f"{path} is not a state dict of this full net: {len(wrong)} entries differ, such as {wrong[0]}"
        )
    model.load_state_dict(state)
