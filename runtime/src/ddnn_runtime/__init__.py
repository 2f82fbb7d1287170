"""Run what `ddnn export` wrote, on a device: any depth, chosen at each call.

It stands on onnxruntime, numpy, Pillow and msgspec.

Names are imported when they are first used: who only reads what an export says of itself waits for no library.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddnn_runtime.answers import Answers
    from ddnn_runtime.data_spec import DataSpec
    from ddnn_runtime.errors import DataError, DDNNError, ModelFileError, UnreadableImageError
    from ddnn_runtime.manifest import Manifest
    from ddnn_runtime.runtime import Runtime

_EXPORTS = {
    "Answers": "answers",
    "DDNNError": "errors",
    "DataError": "errors",
    "DataSpec": "data_spec",
    "Manifest": "manifest",
    "ModelFileError": "errors",
    "Runtime": "runtime",
    "UnreadableImageError": "errors",
}

__all__ = [
    "Answers",
    "DDNNError",
    "DataError",
    "DataSpec",
    "Manifest",
    "ModelFileError",
    "Runtime",
    "UnreadableImageError",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("ddnn-runtime")
    if name not in _EXPORTS:
        raise AttributeError(f"module 'ddnn_runtime' has no attribute {name!r}")
    return getattr(import_module(f"ddnn_runtime.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
