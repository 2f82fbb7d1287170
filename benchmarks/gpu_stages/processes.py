"""Several processes: NCCL (gloo where there is no card) in a group of one, and on two cards in one of two."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import distributed
from torch.nn import functional

from ddnn.distributed.synchronised_norms import synchronised_batch_norm
from gpu_stages.record import Options, Row

LARGEST_DIFFERENCE = 1e-4


def norm_of_one(device: str) -> Row:
    """Synchronised batch norm in a group of one process is batch norm, its gradient too."""
    backend = "nccl" if device == "cuda" else "gloo"
    with tempfile.TemporaryDirectory() as folder:
        store = distributed.FileStore(str(Path(folder, "store")), 1)  # pyright: ignore[reportPrivateImportUsage]
        distributed.init_process_group(backend, store=store, rank=0, world_size=1)
        try:
            images = torch.randn(8, 4, 6, 6, generator=torch.Generator().manual_seed(0)).to(device)
            weight = torch.rand(4, generator=torch.Generator().manual_seed(1)).to(device)
            ours, theirs = images.clone().requires_grad_(), images.clone().requires_grad_()
            one = synchronised_batch_norm(ours, weight, None, 1e-5)[0]
            other = functional.batch_norm(theirs, None, None, weight, None, training=True)
            (one.square().sum() + one[0].sum()).backward()
            (other.square().sum() + other[0].sum()).backward()
        finally:
            distributed.destroy_process_group()
    assert ours.grad is not None
    assert theirs.grad is not None
    found = {
        "value": float((one - other).detach().abs().max()),
        "gradient": float((ours.grad - theirs.grad).abs().max()),
    }
    if max(found.values()) > LARGEST_DIFFERENCE:
        raise AssertionError(str(found))
    return {"backend": backend, **found}


def trains_together(options: Options, count: int) -> Row:
    """`ddnn train` in so many processes, a card each, with norms over all of them."""
    cards = torch.cuda.device_count()
    if options.dry or cards < count:
        return {"left out": f"{count} processes need as many cards, and there are {cards}"}
    small = ("--full", "resnet14", "--subnets", "resnet8", "--train_images", "600", "--epochs", "2", "--json")
    with tempfile.TemporaryDirectory() as folder:
        where = ("--devices", str(count), "--sync_norm", "true", "--output", str(Path(folder, "run")))
        command = [sys.executable, "-m", "ddnn", "train", *small, *where]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise AssertionError(done.stderr[-500:])
        return {"nets": json.loads(done.stdout)["nets"]}
