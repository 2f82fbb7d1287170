"""Checks the shapes in the annotations of the pure functions while the tests run, and keeps each worker to one core."""

import torch
from jaxtyping import install_import_hook

install_import_hook(["ddnn.distillation", "ddnn.objectives"], "beartype.beartype")
torch.set_num_threads(1)
