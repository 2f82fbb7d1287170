"""From a trained network to its use: nets as files, one export for all depths, a runtime for devices.

Names are imported when they are first used, so that the runtime needs neither torch nor what exports need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddnn.deployment.answers import Answers
    from ddnn.deployment.export import Export, export_onnx, export_torch
    from ddnn.deployment.manifest import Manifest
    from ddnn.deployment.runtime import Runtime

_EXPORTS = {
    "Answers": "answers",
    "Export": "export",
    "Manifest": "manifest",
    "Runtime": "runtime",
    "export_onnx": "export",
    "export_torch": "export",
}

__all__ = ["Answers", "Export", "Manifest", "Runtime", "export_onnx", "export_torch"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'ddnn.deployment' has no attribute {name!r}")
    return getattr(import_module(f"ddnn.deployment.{_EXPORTS[name]}"), name)
