"""Weights in files as people have them: of Lightning, timm, torchvision's references, DataParallel, torch.compile.

A checkpoint holds the state dict of a net somewhere among an optimizer, arguments and counters, and a wrapper has put a
prefix before each name. Both are found by looking, not by trying the names of frameworks one after the other: the part
that maps names to tensors, and the prefix under which the net's own names stand. What was taken, stripped or left out
is said. Nothing is unpickled that could run code.
"""

import argparse
import pickle
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from torch import Tensor

from ddnn.errors import ModelFileError
from ddnn.network.storage import is_whole_archive, read_tensors

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")
PARTS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
"""Where a checkpoint has the weights; averaged ones (model_ema, say) are taken if there are no others."""
WRAPPERS = frozenset(("module", "model", "_orig_mod", "backbone", "net", "network"))
"""What wrappers and training modules call the net."""
_NUMBERS = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")]
_HARMLESS = [argparse.Namespace, np.dtype, np.ndarray, *_NUMBERS]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, whatever stands beside it.

    Raises:
        ModelFileError: if the file is missing, damaged, holds no state dict or several that could be meant, or holds
            objects that would be code to run.
    """
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; weights must be a {', '.join(SUFFIXES)} file")
    if path.suffix == ".safetensors":
        return read_tensors(path)
    content = _unpickled(path)
    if not isinstance(content, Mapping):
        raise ModelFileError(f"{path} holds no state dict: it must map names to tensors")
    return _state_within(content, path)


def fitted(state: Mapping[str, Tensor], own: Iterable[str], source: str) -> dict[str, Tensor]:
    """The entries of a state dict under the names that a net has: a wrapper's prefix is taken off.

    Args:
        state: names to tensors.
        own: the net's names.
        source: what to call it in messages.

    Raises:
        ModelFileError: if the net stands there under several prefixes, and none is the usual one.

    Example:
        >>> import warnings; warnings.simplefilter("ignore")
        >>> fitted({"module.conv.weight": torch.ones(1), "steps": torch.ones(1)}, ["conv.weight"], "a.pth")
        {'conv.weight': tensor([1.])}
    """
    prefix = _prefix(state, set(own), source)
    if not prefix:
        return dict(state)
    left = sorted(name for name in state if not name.startswith(prefix))
    rest = f", and {_some(left)} left out" if left else ""
    warnings.warn(f"{source}: {prefix} was taken off the names of its entries{rest}", stacklevel=4)
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _unpickled(path: Path) -> Any:
    if is_zipfile(path) and not is_whole_archive(path):  # torch does not look at the checksums
        raise ModelFileError(f"{path} is damaged: the checksums in it differ; copy or download it again")
    try:
        with torch.serialization.safe_globals([*_HARMLESS, *_numpy_scalars()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelFileError(
            f"{path} holds other things than tensors, or is damaged, and was not unpickled, since that could run code; "
            "save model.state_dict() alone"
        ) from None
    except Exception as error:  # torch.load lets through whatever a damaged archive makes pickle or zip raise
        raise ModelFileError(f"{path} cannot be read as a state dict: {type(error).__name__}") from None


def _numpy_scalars() -> list[Any]:
    """What numpy writes for a best accuracy, say; it builds a number from bytes."""
    from numpy._core import multiarray  # the name in files of numpy 2; older files say numpy.core

    return [multiarray.scalar, (multiarray.scalar, "numpy.core.multiarray.scalar")]


def _state_within(content: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    if _is_state(content):
        return dict(content)
    parts = {str(name): part for name, part in content.items() if isinstance(part, Mapping) and _is_state(part)}
    usual = [name for name in PARTS if name in parts] or list(parts)
    if not usual:
        raise ModelFileError(
            f"{path} holds no state dict: it must map names to tensors, or have such a part under "
            f"{', '.join(PARTS)}; it has {_some(sorted(map(str, content)))}"
        )
    if len(usual) > 1:
        raise ModelFileError(
            f"{path} holds several state dicts: {', '.join(usual)}; save the one that is meant in a file of its own"
        )
    taken, others = usual[0], sorted(parts.keys() - {usual[0]})
    if others or taken not in PARTS:
        rest = f", not {', '.join(others)}" if others else ""
        warnings.warn(f"{path}: its {taken} was taken{rest}", stacklevel=5)
    return dict(parts[taken])


def _is_state(part: Mapping[Any, Any]) -> bool:
    return bool(part) and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in part.items())


def _prefix(state: Mapping[str, Tensor], own: set[str], source: str) -> str:
    """What stands before the net's names; nothing where most of them are not found either way."""
    found = Counter(prefix for name in state for prefix in _prefixes(name, own))
    most = max(found.values(), default=0)
    best = [prefix for prefix, count in found.items() if count == most]
    if "" in best or 2 * most < len(own):
        return ""
    if len(best) > 1:
        usual = [prefix for prefix in best if WRAPPERS.issuperset(prefix.rstrip(".").split("."))]
        if len(usual) != 1:
            raise ModelFileError(
                f"{source} has this net {len(best)} times, as {', '.join(sorted(best))}; "
                "save the one that is meant in a file of its own"
            )
        best = usual
    return best[0]


def _prefixes(name: str, own: set[str]) -> list[str]:
    words = name.split(".")
    return [".".join([*words[:cut], ""]) if cut else "" for cut in range(len(words)) if ".".join(words[cut:]) in own]


def _some(names: list[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
