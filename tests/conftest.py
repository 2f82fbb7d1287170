"""Checks the shapes in the annotations of the pure functions while the tests run, keeps each worker to one core, and
all machines to single precision, which is what the tests' tolerances are for."""

import os

import torch
from jaxtyping import install_import_hook

os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
install_import_hook(["ddnn.objectives"], "beartype.beartype")
torch.set_num_threads(1)
