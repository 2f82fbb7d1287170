"""One neural network, every depth: a full net and its sub-nets in one set of shared weights.

Names are imported when they are first used, so that the command line answers before torch is loaded.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddnn.building import build, from_model
    from ddnn.cascade import CascadeOutput
    from ddnn.choice import choose
    from ddnn.comparison import compare
    from ddnn.config import ChooseConfig, CompareConfig, EKDConfig, ProfileConfig, TrainConfig
    from ddnn.data_spec import DataSpec
    from ddnn.errors import DDNNError
    from ddnn.loading import load
    from ddnn.network import DepthDynamicNetwork
    from ddnn.objectives import EKD, Joint
    from ddnn.profiles import profile
    from ddnn.shared_prefix import Output
    from ddnn.training import train

__version__ = version("ddnn")

_EXPORTS = {
    "CascadeOutput": "cascade",
    "ChooseConfig": "config",
    "CompareConfig": "config",
    "DDNNError": "errors",
    "DataSpec": "data_spec",
    "DepthDynamicNetwork": "network",
    "EKD": "objectives",
    "EKDConfig": "config",
    "Joint": "objectives",
    "Output": "shared_prefix",
    "ProfileConfig": "config",
    "TrainConfig": "config",
    "build": "building",
    "choose": "choice",
    "compare": "comparison",
    "from_model": "building",
    "load": "loading",
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
    return getattr(import_module(f"ddnn.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
