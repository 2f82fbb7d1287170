"""`ddnn serve` on a cluster of Ray's; see `ddnn_runtime.serving.ray`, which needs no ddnn on its machines."""

from ddnn_runtime.serving.ray import RayConfig, application, build

__all__ = ["RayConfig", "application", "build"]
