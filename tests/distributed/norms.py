"""What synchronised norm gives each process, and its gradients; rank 0 leaves them in the file of argument 1."""

import sys

import torch
from torch import distributed, nn
from torch.distributed import all_gather_object

from ddnn.distributed.processes import find_processes, join
from ddnn.distributed.synchronised_norms import synchronised
from tests.distributed.cases import SHAPE, batches, norms, weight_of


def main(path: str) -> None:
    join(find_processes())
    rank, count = distributed.get_rank(), distributed.get_world_size()
    results = []
    for norm in norms():
        model = nn.Sequential(norm)
        with synchronised(model):
            gradients = []
            for images in batches():
                own = images[rank::count].clone().requires_grad_()
                output = model(own)
                (output * weight_of(output)).sum().backward()
                gradients.append((output.detach(), own.grad))
        told = [None] * count
        parameters = [parameter.grad for parameter in norm.parameters()]
        all_gather_object(told, (gradients, parameters, norm.state_dict()))
        results.append(told)
        assert "forward" not in vars(norm)
    if rank == 0:
        torch.save(results, path)


if __name__ == "__main__":
    assert SHAPE
    main(sys.argv[1])
