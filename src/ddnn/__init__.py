"""One neural network, every depth: a full net and its sub-nets in one set of shared weights.

Names are imported when they are first used, so that the command line answers before torch is loaded.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddnn.choice import choose
    from ddnn.comparison import compare
    from ddnn.config import ChooseConfig, CompareConfig, EKDConfig, ProfileConfig, TrainConfig
    from ddnn.errors import DDNNError
    from ddnn.network import CascadeOutput, DepthDynamicNetwork, Output, build, from_model, load
    from ddnn.objectives import EKD, Joint
    from ddnn.profiles import profile
    from ddnn.training import train
    from ddnn_runtime import DataSpec

__version__ = version("ddnn")

_EXPORTS = {
    "CascadeOutput": "network",
    "ChooseConfig": "config",
    "CompareConfig": "config",
    "DDNNError": "errors",
    "DataSpec": "ddnn_runtime",
    "DepthDynamicNetwork": "network",
    "EKD": "objectives",
    "EKDConfig": "config",
    "Joint": "objectives",
    "Output": "network",
    "ProfileConfig": "config",
    "TrainConfig": "config",
    "build": "network",
    "choose": "choice",
    "compare": "comparison",
    "from_model": "network",
    "load": "network",
    "profile": "profiles",
    "train": "training",
}

__all__ = [
    "EKD",
    "CascadeOutput",
    "ChooseConfig",
    "CompareConfig",
    "DDNNError",
    "DataSpec",
    "DepthDynamicNetwork",
    "EKDConfig",
    "Joint",
    "Output",
    "ProfileConfig",
    "TrainConfig",
    "build",
    "choose",
    "compare",
    "from_model",
    "load",
    "profile",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'ddnn' has no attribute {name!r}")
    module = _EXPORTS[name]
    return getattr(import_module(module if module == "ddnn_runtime" else f"ddnn.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
