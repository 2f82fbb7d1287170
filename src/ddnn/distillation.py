"""How far a sub-net is from the full net: the divergence of their class posteriors, and of where they look.

Pure functions of tensors. None of them detaches: who teaches whom is the objective's business.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def posterior_divergence(
    student: Float[Tensor, "batch classes"], teacher: Float[Tensor, "batch classes"], temperature: float = 1.0
) -> Float[Tensor, ""]:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over the batch, in nats.

    T² keeps the size of the gradient independent of T (Hinton et al., arXiv 1503.02531, section 2).

    Args:
        student: logits, (batch, classes).
        teacher: logits, (batch, classes).
        temperature: T; larger is softer.

    Example:
        >>> import torch
        >>> posterior_divergence(torch.zeros(1, 2), torch.zeros(1, 2)).item()
        0.0
    """
    divergence = functional.kl_div(
        functional.log_softmax(student / temperature, dim=1),
        functional.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


def attention_map(feature: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch height width"]:
    """Self-attention map: the sum over channels, standardised over each sample's positions.

    The map of EKD-FWSNet by the authors of arXiv 2103.00793: subtract the spatial mean, divide by the spatial
    standard deviation (of the population; a constant map gives zeros).

    Args:
        feature: (batch, channels, height, width).

    Returns:
        (batch, height, width), with mean 0 and standard deviation 1 for each sample.
    """
    attention = feature.sum(dim=1)
    centred = attention - attention.mean(dim=(1, 2), keepdim=True)
    variance = centred.square().mean(dim=(1, 2), keepdim=True)
    return centred * torch.rsqrt(variance + torch.finfo(torch.float32).eps)


def squared_attention_map(feature: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch height width"]:
    """Activation-based attention map: the sum of squares over channels, scaled to length 1 for each sample.

    Zagoruyko and Komodakis, arXiv 1612.03928, with p = 2.

    Args:
        feature: (batch, channels, height, width).

    Returns:
        (batch, height, width), with Euclidean norm 1 for each sample.
    """
    attention = feature.square().sum(dim=1)
    return functional.normalize(attention.flatten(1), dim=1).view_as(attention)


AttentionMap = Callable[[Tensor], Tensor]

ATTENTION_MAPS: dict[str, AttentionMap] = {"sum": attention_map, "square": squared_attention_map}


def attention_distance(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Σ_r mean((A(student_r) - A(teacher_r))²), over pairs of attention maps of the same resolution.

    Args:
        student: maps, each (batch, height, width).
        teacher: as many, of the same heights and widths.
    """
    distances = [functional.mse_loss(one, other) for one, other in zip(student, teacher, strict=True)]
    return torch.stack(distances).sum()
