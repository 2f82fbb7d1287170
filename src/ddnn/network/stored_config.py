"""What `config.json` says of a network, checked value by value against the weights that lie beside it.

Nothing is built before that, so a file of a few bytes cannot ask for a network that fills the memory: it has at most as
many blocks as there are tensors, and, before numbers are allocated, the shapes that the tensors have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ddnn.errors import ModelFileError
from ddnn.families import Depth
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.untrusted import UnfitValueError, count, known, listed, mapping, name, text

MOST_NETS = 1000


@dataclass(frozen=True)
class StoredConfig:
    """What a network is built from.

    Args:
        family: its name.
        full: name of the full net.
        depths: of all nets, by name.
        private_norms: sub-nets with norm weights of their own.
        num_classes: outputs.
        in_channels: of the images.
        options: of the family.
        data: what it was trained on; None if that is not known.
    """

    family: str
    full: str
    depths: dict[str, Depth]
    private_norms: tuple[str, ...]
    num_classes: int
    in_channels: int
    options: dict[str, Any]
    data: DataSpec | None

    @classmethod
    def of(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "StoredConfig":
        """What a configuration says of a network of these tensors.

        Raises:
            UnfitValueError: a value is missing, unknown, or makes no sense.
        """
        keys = ("format", "family", "full", "depths", "num_classes", "in_channels", "options", "data", "weights")
        known(config, "it", keys, optional=("private_norms",))  # which older versions did not write
        numbers = sum(tensor.numel() for tensor in tensors.values())
        depths = _depths(config["depths"], len(tensors))
        full = name(config["full"], "full")
        if full not in depths:
            raise UnfitValueError(f"its full net {full} is not among its depths")
        found = cls(
            family=text(config["family"], "family"),
            full=full,
            depths=depths,
            private_norms=listed(config.get("private_norms", ()), "private_norms", name),
            num_classes=count(config["num_classes"], "num_classes", 1, max(1, numbers)),
            in_channels=count(config["in_channels"], "in_channels", 1, max(1, numbers)),
            options=mapping(config["options"], "options"),
            data=None if config["data"] is None else DataSpec.from_json(mapping(config["data"], "data")),
        )
        found._check_data()
        return found

    def _check_data(self) -> None:
        data = self.data
        if data is not None and (data.num_classes, data.channels) != (self.num_classes, self.in_channels):
            raise UnfitValueError(
                f"its data has {data.num_classes} class names and {data.channels} channels, and the network "
                f"{self.num_classes} classes and {self.in_channels} channels"
            )


def check_shapes(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], weights: str, *, others: bool) -> None:
    """Refuse weights that are not those of a net, which need have no numbers yet.

    Args:
        expected: what there must be.
        tensors: what there is.
        weights: what an error calls that.
        others: there may be more.

    Raises:
        ModelFileError: a tensor is missing, has another shape, or is one too many.
    """
    wrong = [key for key, tensor in expected.items() if key not in tensors or tensors[key].shape != tensor.shape]
    wrong += [] if others else tensors.keys() - expected.keys()
    if wrong:
        raise ModelFileError(
            f"{weights} does not fit config.json: {len(wrong)} tensors differ, such as {sorted(wrong)[0]}"
        )


def _depths(value: Any, blocks: int) -> dict[str, Depth]:
    depths = mapping(value, "depths")
    if not 1 <= len(depths) <= MOST_NETS:
        raise UnfitValueError(f"depths must be those of 1 to {MOST_NETS} nets, not of {len(depths)}")
    found = {
        name(key, "the name of a net"): listed(
            depth, f"the depth of {key}", lambda item, what: count(item, what, 0, blocks), least=1, most=100
        )
        for key, depth in depths.items()
    }
    for key, depth in found.items():
        if sum(depth) > blocks:
            raise UnfitValueError(f"{key} has {sum(depth)} blocks, and the weights are {blocks} tensors")
    return found
