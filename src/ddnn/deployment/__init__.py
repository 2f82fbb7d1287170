"""From a trained network to its use: nets as files, one export for all depths, a runtime for devices.

Names are imported when they are first used, so that whoever asks for one does not wait for what the others need. Those
of the runtime live in `ddnn_runtime`, a distribution of its own, for devices.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddnn.deployment.export import Export, export_onnx, export_torch
    from ddnn_runtime import Answers, Manifest, Runtime

_EXPORTS = {
    "Answers": "ddnn_runtime",
    "Export": "ddnn.deployment.export",
    "Manifest": "ddnn_runtime",
    "Runtime": "ddnn_runtime",
    "export_onnx": "ddnn.deployment.export",
    "export_torch": "ddnn.deployment.export",
}

__all__ = ["Answers", "Export", "Manifest", "Runtime", "export_onnx", "export_torch"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'ddnn.deployment' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
