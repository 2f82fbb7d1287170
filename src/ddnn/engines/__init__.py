"""Nets that can be asked, run by PyTorch or by onnxruntime: one protocol for predictions, cascades, profiles, servers.

`engine` is the protocol, `torch_engine` and `onnx_engine` are the two that speak it, and `opening` finds out which one
a path needs. Torch is imported only where a network is opened.
"""

from ddnn.engines.engine import Engine
from ddnn.engines.opening import open_engine

__all__ = ["Engine", "open_engine"]
