"""One neural network, every depth: a full net and its sub-nets in one set of shared weights.

Names are imported when they are first used, so that the command line answers before torch is loaded.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddnn.cascading import cascade
    from ddnn.choice import choose
    from ddnn.comparison import compare
    from ddnn.config import (
        CascadeConfig,
        ChooseConfig,
        CompareConfig,
        EKDConfig,
        EvaluateConfig,
        ExportConfig,
        ExtractConfig,
        PredictConfig,
        ProfileConfig,
        QuantizeConfig,
        ServeConfig,
        TrainConfig,
        WebConfig,
    )
    from ddnn.deployment.extraction import extract
    from ddnn.deployment.from_run import export, quantize
    from ddnn.deployment.prediction import predict
    from ddnn.deployment.web import web
    from ddnn.errors import DDNNError
    from ddnn.measuring.evaluate import evaluate
    from ddnn.network import CascadeOutput, DepthDynamicNetwork, Output, build, from_model, load
    from ddnn.objectives import EKD, Joint
    from ddnn.profiles import profile
    from ddnn.serving import serve
    from ddnn.training import train
    from ddnn_runtime import DataSpec

__version__ = version("ddnn")

_EXPORTS = {
    "CascadeConfig": "config",
    "CascadeOutput": "network",
    "ChooseConfig": "config",
    "CompareConfig": "config",
    "DDNNError": "errors",
    "DataSpec": "ddnn_runtime",
    "DepthDynamicNetwork": "network",
    "EKD": "objectives",
    "EKDConfig": "config",
    "EvaluateConfig": "config",
    "ExportConfig": "config",
    "ExtractConfig": "config",
    "Joint": "objectives",
    "Output": "network",
    "PredictConfig": "config",
    "ProfileConfig": "config",
    "QuantizeConfig": "config",
    "ServeConfig": "config",
    "TrainConfig": "config",
    "WebConfig": "config",
    "build": "network",
    "cascade": "cascading",
    "choose": "choice",
    "compare": "comparison",
    "evaluate": "measuring.evaluate",
    "export": "deployment.from_run",
    "extract": "deployment.extraction",
    "from_model": "network",
    "load": "network",
    "predict": "deployment.prediction",
    "profile": "profiles",
    "quantize": "deployment.from_run",
    "serve": "serving",
    "train": "training",
    "web": "deployment.web",
}

__all__ = [
    "EKD",
    "CascadeConfig",
    "CascadeOutput",
    "ChooseConfig",
    "CompareConfig",
    "DDNNError",
    "DataSpec",
    "DepthDynamicNetwork",
    "EKDConfig",
    "EvaluateConfig",
    "ExportConfig",
    "ExtractConfig",
    "Joint",
    "Output",
    "PredictConfig",
    "ProfileConfig",
    "QuantizeConfig",
    "ServeConfig",
    "TrainConfig",
    "WebConfig",
    "build",
    "cascade",
    "choose",
    "compare",
    "evaluate",
    "export",
    "extract",
    "from_model",
    "load",
    "predict",
    "profile",
    "quantize",
    "serve",
    "train",
    "web",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'ddnn' has no attribute {name!r}")
    module = _EXPORTS[name]
    return getattr(import_module(module if module == "ddnn_runtime" else f"ddnn.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
