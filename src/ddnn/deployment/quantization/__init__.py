"""Networks in int8: codes of weights that all nets share, and a choice of the blocks that stay in float.

Stands on onnx and onnxruntime's quantisation tools, the extra `onnx`; imported by `ddnn quantize` when it runs.
"""
