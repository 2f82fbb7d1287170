"""How far a sub-net is from the full net: the divergence of their class posteriors, and of where they look.

Pure functions of tensors. Who teaches whom, and so what is detached, is the objective's business; `adaptive_divergence`
alone, whose gradient is not its derivative, is for a teacher that learns nothing.
"""

import math
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


def adaptive_divergence(
    student: Float[Tensor, "batch classes"],
    teacher: Float[Tensor, "batch classes"],
    temperature: float = 1.0,
    clip_ratio: float = 5.0,
) -> Float[Tensor, ""]:
    """T² · max(D₁, D₋₁) for each sample, the mean over the batch; the adaptive α-divergence of AlphaNet.

    With p the teacher's posterior and q the student's, both at T:

        D_α(p ‖ q) = (Σ_k q_k (p_k / q_k)^α - 1) / (α (α - 1)),  so in the limit D₁ = KL(p ‖ q),
        and with the ratio clipped D₋₁ = ½ (Σ_k q_k min(q_k / p_k, c) - 1)

    D₁ grows where the student misses what the teacher sees, D₋₁ where it sees what the teacher rules out.
    The ratio, clipped at c, is a weight: the gradient of D₋₁ is Σ_k q_k min(q_k / p_k, c) ∇log q_k, so that a clipped
    class keeps the weight c. (Wang et al., arXiv 2102.07954, and its code, facebookresearch/AlphaNet, `loss_ops.py`,
    which clips D₋₁ alone, too.) Near p both are χ²/2, so that it has the size of `posterior_divergence`.

    Args:
        student: logits, (batch, classes).
        teacher: logits, (batch, classes); no gradient reaches them.
        temperature: T; larger is softer.
        clip_ratio: c, above 1.

    Example:
        >>> import torch
        >>> round(adaptive_divergence(torch.zeros(1, 2), torch.tensor([[3.0, -3.0]])).item(), 2)
        0.88
    """
    log_q = functional.log_softmax(student / temperature, dim=1)
    log_p = functional.log_softmax(teacher.detach() / temperature, dim=1)
    right = (log_p.exp() * (log_p - log_q)).sum(dim=1)
    weight = (log_q + (log_q - log_p).clamp(max=math.log(clip_ratio))).exp().detach()
    left = (weight.sum(dim=1) - 1) / 2
    slope = (weight * log_q).sum(dim=1)  # has the gradient of D₋₁, and another value
    return temperature**2 * torch.where(left > right, left + slope - slope.detach(), right).mean()


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
