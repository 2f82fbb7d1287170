"""Trains and scores as a user's script under torchrun would, and leaves what each process came to.

Arguments: a file of `TrainConfig`'s fields as JSON, and a folder; for each rank it gets RANK.safetensors and, scores
and losses, RANK.json.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from ddnn import TrainConfig, train
from ddnn.config import from_fields
from ddnn.measuring.evaluation import evaluate
from ddnn.training.module import DepthDynamicTraining


def main(fields: Path, folder: Path) -> None:
    losses: list[float] = []
    step = DepthDynamicTraining.training_step

    def noted(self: DepthDynamicTraining, batch, index: int):
        loss = step(self, batch, index)
        losses.append(float(loss.detach()))
        return loss

    DepthDynamicTraining.training_step = noted
    run = train(from_fields(TrainConfig, json.loads(fields.read_text())), progress=False)
    batches = run.data.test(run.device, share=run.processes.share)
    seen = [labels for _, labels in batches]
    scores = evaluate(run.network, batches, shared=True)
    rank = run.processes.rank
    save_file(
        {name: tensor.detach().clone() for name, tensor in run.network.tensors().items()},
        folder / f"{rank}.safetensors",
    )
    result = {"losses": losses, "seen": sum(map(len, seen)), "scores": {k: asdict(v) for k, v in scores.items()}}
    (folder / f"{rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
