"""Checks the shapes in the annotations of the pure functions while the tests run, keeps each worker and the processes
that it starts to one core, and all machines to single precision, which is what the tests' tolerances are for.
Hypothesis tries the same examples each time, so that a test fails because of a change and not because of the day.
"""

import os

import hypothesis
import torch
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of two workers on two cores, threads would wait for each other
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
install_import_hook(["ddnn.objectives"], "beartype.beartype")
torch.set_num_threads(1)
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")
