"""What can be configured, as typed dataclasses: the one place that the command line, YAML and Python share.

Nothing here imports torch, so that `ddnn --help` answers at once. Values are checked when a configuration is made,
not when they are used ten minutes later.
"""

from ddnn.config.cascade import CascadeConfig
from ddnn.config.choose import ChooseConfig
from ddnn.config.commands import EvaluateConfig, ExtractConfig, FamiliesConfig, PredictConfig
from ddnn.config.compare import OWN_KEYS, CompareConfig
from ddnn.config.data import AugmentConfig, DataConfig, ShardsConfig
from ddnn.config.ekd import EKDConfig
from ddnn.config.export import ExportConfig
from ddnn.config.fields import configured, from_fields
from ddnn.config.method import METHODS, Method
from ddnn.config.profile import PRECISIONS, RUNTIMES, ProfileConfig
from ddnn.config.quantize import QuantizeConfig
from ddnn.config.train import TrainConfig
from ddnn_runtime.serving.settings import ServeConfig

__all__ = [
    "METHODS",
    "OWN_KEYS",
    "PRECISIONS",
    "RUNTIMES",
    "AugmentConfig",
    "CascadeConfig",
    "ChooseConfig",
    "CompareConfig",
    "DataConfig",
    "EKDConfig",
    "EvaluateConfig",
    "ExportConfig",
    "ExtractConfig",
    "FamiliesConfig",
    "Method",
    "PredictConfig",
    "ProfileConfig",
    "QuantizeConfig",
    "ServeConfig",
    "ShardsConfig",
    "TrainConfig",
    "configured",
    "from_fields",
]
