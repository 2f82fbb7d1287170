"""What `config.json` says of a network, checked value by value against the weights that lie beside it.

Nothing is built before that, so a file of a few bytes cannot ask for a network that fills the memory: it has at most as
many blocks as there are tensors, and, before numbers are allocated, the shapes that the tensors have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta
from torch import Tensor

from ddnn.errors import ModelFileError
from ddnn_runtime.data_spec import DataSpec, of_any_version
from ddnn_runtime.documents import Count, Name, Natural, Text
from ddnn_runtime.schema import typed
from ddnn_runtime.untrusted import UnfitValueError

MOST_NETS = 1000
_NETS = f"the depths of 1 to {MOST_NETS} nets"
_Depth = Annotated[tuple[Natural, ...], Meta(min_length=1, max_length=100)]


@dataclass(frozen=True)
class StoredConfig:
    """What a network is built from.

    Args:
        family: its name.
        full: name of the full net.
        depths: of all nets, by name.
        num_classes: outputs.
        in_channels: of the images.
        options: of the family.
        data: what it was trained on; None if that is not known.
        private_norms: sub-nets with norm weights of their own.
    """

    family: Text
    full: Name
    depths: Annotated[dict[Name, _Depth], Meta(min_length=1, max_length=MOST_NETS, description=_NETS)]
    num_classes: Count
    in_channels: Count
    options: dict[str, Any]
    data: DataSpec | None
    private_norms: tuple[Name, ...] = ()  # which older versions did not write

    @classmethod
    def of(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "StoredConfig":
        """What a configuration says of a network of these tensors.

        Raises:
            UnfitValueError: a value is missing, unknown, or makes no sense.
        """
        found: StoredConfig = typed(of_any_version({key: config[key] for key in config if key != "weights"}), cls)
        found._check_blocks(len(tensors))
        found._check_numbers(sum(tensor.numel() for tensor in tensors.values()))
        found._check_data()
        return found

    def _check_blocks(self, tensors: int) -> None:
        if self.full not in self.depths:
            raise UnfitValueError(f"its full net {self.full} is not among its depths")
        for key, depth in self.depths.items():
            if sum(depth) > tensors:
                raise UnfitValueError(f"{key} has {sum(depth)} blocks, and the weights are {tensors} tensors")

    def _check_numbers(self, numbers: int) -> None:
        for key, value in {"num_classes": self.num_classes, "in_channels": self.in_channels}.items():
            if value > max(1, numbers):
                raise UnfitValueError(f"{key} is {value}, and the weights are {numbers} numbers")

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
