"""The errors that a user can cause. They live in the runtime, so that one `except DDNNError` catches those of both."""

from ddnn_runtime.errors import DataError, DDNNError, ModelFileError, UnreadableImageError, near

__all__ = ["DDNNError", "DataError", "ModelFileError", "UnreadableImageError", "near"]
