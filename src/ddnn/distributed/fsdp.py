"""Networks whose training state does not fit on one device: each process keeps a share of every tensor.

PyTorch's FSDP2 gathers a block's weights while it runs, and scatters its gradients (Zhao et al., arXiv 2304.11277). A
block of several nets stands on one set of weights, so it is one group, whichever nets' modules run it: weights are
gathered once for all of them, and given up when the last has run.
"""

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from ddnn.network import DepthDynamicNetwork


def divide(network: DepthDynamicNetwork, mesh: DeviceMesh) -> None:
    """Divide the weights among the processes of `mesh`, in place: those of each block are a group of their own.

    From then on its nets must run together, by `forward_all` and all of them.
    """
    for group in _groups(network):
        fully_shard(group, mesh=mesh, reshard_after_forward=True)
    fully_shard(network, mesh=mesh)
    register_fsdp_forward_method(network, "forward_all")


def divide_model(model: nn.Module, mesh: DeviceMesh) -> None:
    """Divide the weights of a model among the processes of `mesh`, in place, as one group."""
    fully_shard(model, mesh=mesh, reshard_after_forward=True)


@torch.no_grad()
def gather(network: DepthDynamicNetwork) -> dict[str, Tensor]:
    """The tensors of a divided network, whole and on the CPU, as `network.tensors()` names them; all processes ask."""
    return {name: _whole(tensor).detach().cpu() for name, tensor in network.tensors().items()}


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _groups(network: DepthDynamicNetwork) -> Iterator[list[nn.Module]]:
    """For each step of the full net but the first and the last: all modules that own its parameters, in any net."""
    if not network.shares_prefix:
        return
    full, owners = network[network.full], _owners(network)
    steps = network.family.steps(network.depths[network.full]) or []
    taken: set[nn.Module] = set()
    for step in steps[1:-1]:
        parameters = [parameter for module in step.modules(full) for parameter in module.parameters()]
        group = list(dict.fromkeys(owner for parameter in parameters for owner in owners[parameter]))
        group = [module for module in group if module not in taken]
        taken.update(group)
        if group:
            yield group


def _owners(network: DepthDynamicNetwork) -> dict[nn.Parameter, list[nn.Module]]:
    owners: dict[nn.Parameter, list[nn.Module]] = defaultdict(list)
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            owners[parameter].append(module)
    return owners
