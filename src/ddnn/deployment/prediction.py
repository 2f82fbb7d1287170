"""What a net says of images in files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ddnn.data import read_image
from ddnn.errors import DDNNError
from ddnn.network import DepthDynamicNetwork


@dataclass(frozen=True)
class Prediction:
    """What a net says of one image.

    Args:
        image: the file.
        labels: class names, the most probable first.
        probabilities: one for each label, in [0, 1].
    """

    image: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]


def predict(
    network: DepthDynamicNetwork, images: Sequence[str | Path], name: str | None = None, top: int = 5
) -> list[Prediction]:
    """The most probable classes of each image.

    Args:
        network: one that knows its data, as those that `ddnn train` wrote do.
        images: files.
        name: which net; None means the full net.
        top: how many classes.

    Raises:
        UnreadableImageError: if a file is no image; it is named.
        DDNNError: if the network does not know how its images are prepared.
    """
    spec = network.data_spec
    if spec is None:
        raise DDNNError(
            "this network was saved without class names and normalisation; set net.data_spec to a "
            "ddnn.DataSpec and save it again"
        )
    net = network[network.full if name is None else name].eval()
    device = next(net.parameters()).device
    predictions = []
    for image in images:
        with torch.inference_mode():
            logits = net(read_image(Path(image), spec)[None].to(device))
        best = logits[0].softmax(dim=0).topk(min(top, spec.num_classes))
        labels = tuple(spec.class_names[index] for index in best.indices.tolist())
        predictions.append(Prediction(str(image), labels, tuple(best.values.tolist())))
    return predictions
