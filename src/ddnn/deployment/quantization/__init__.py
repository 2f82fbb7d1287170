"""Networks in int8: codes of weights that all nets share, and a choice of the blocks that stay in float.

Stands on onnx and onnxruntime's quantisation tools, the extra `onnx`.
"""

from ddnn.deployment.quantization.images import Images, images_of
from ddnn.deployment.quantization.quantize import quantize_network
from ddnn.deployment.quantization.report import Form, Quantization, show

__all__ = ["Form", "Images", "Quantization", "images_of", "quantize_network", "show"]
