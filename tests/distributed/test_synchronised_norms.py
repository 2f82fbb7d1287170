"""Synchronised batch norm is torch's own on the batch of all processes: values, gradients and running statistics."""

from pathlib import Path

import torch

from tests.distributed.cases import batches, norms, weight_of
from tests.distributed.launcher import in_processes

COUNT = 3


def test_it_is_batch_norm_over_all_images(tmp_path: Path) -> None:
    in_processes(COUNT, "tests.distributed.norms", tmp_path / "results.pt")
    results = torch.load(tmp_path / "results.pt", weights_only=True)
    for norm, told in zip(norms(), results, strict=True):
        for step, images in enumerate(batches()):
            whole = images.clone().requires_grad_()
            output = norm(whole)
            (output * weight_of(output)).sum().backward()
            for rank, (gradients, _, _) in enumerate(told):
                torch.testing.assert_close(gradients[step][0], output.detach()[rank::COUNT], rtol=1e-4, atol=1e-4)
                torch.testing.assert_close(gradients[step][1], whole.grad[rank::COUNT], rtol=1e-3, atol=1e-4)
        for place, parameter in enumerate(norm.parameters()):
            total = sum(parameters[place] for _, parameters, _ in told)
            torch.testing.assert_close(total, parameter.grad, rtol=1e-3, atol=1e-4)
        for _, _, state in told:
            for name, value in norm.state_dict().items():
                torch.testing.assert_close(state[name], value, rtol=1e-5, atol=1e-5)
