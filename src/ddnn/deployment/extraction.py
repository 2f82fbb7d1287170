"""One net of a network as a file that the stock class loads: a plain state dict in safetensors."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ddnn.config import ExtractConfig, configured
from ddnn.errors import DDNNError
from ddnn.formats.arguments import path_of
from ddnn.network import DepthDynamicNetwork
from ddnn.network.loading import load
from ddnn.network.storage import write_tensors


@dataclass(frozen=True)
class Extracted:
    """A net that has a file of its own.

    Args:
        subnet: which net.
        output: the file.
        bytes: its size.
    """

    subnet: str
    output: Path
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """What `ddnn extract --json` prints."""
        return {**asdict(self), "output": str(self.output)}


def extract(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    config: ExtractConfig | None = None,
    **keys: Any,
) -> Extracted:
    """Write one net of a run as a file that its stock class loads, without this library.

    As a model in memory, `ddnn.load(run).extract(name)` gives it.

    Args:
        run: a run directory or a saved network; or what `ddnn.train` returns.
        output: a safetensors file that does not exist; None means that of the configuration, else NAME.safetensors in
            the current folder.
        config: which net; None means the full net.
        keys: fields of `ddnn.ExtractConfig`, in place of the configuration's.

    Raises:
        ModelFileError: if there is no network, or it is damaged.
        DDNNError: if there is no such net, the file exists, its folder does not, or a key or value makes no sense.

    Example:
        ```python
        ddnn.extract("runs/resnet34", "resnet18.safetensors", subnet="resnet18")
        model = torchvision.models.resnet18(num_classes=10)
        model.load_state_dict(safetensors.torch.load_file("resnet18.safetensors"))
        ```
    """
    path, config = path_of(run, "run"), configured(ExtractConfig, config, keys)
    given = config.output if output is None else output
    file = None if given is None else path_of(given, "output")
    network = load(path)
    name = network.full if config.subnet is None else config.subnet
    file = file or Path(f"{name}.safetensors")
    extract_to_file(network, name, file)
    return Extracted(name, file, file.stat().st_size)


def extract_to_file(network: DepthDynamicNetwork, name: str, path: Path) -> None:
    """Write the state dict of one net; the file's metadata says what it is.

    Args:
        network: any.
        name: which net.
        path: a file that does not exist; its folder does.

    Raises:
        DDNNError: if there is no such net, the file exists, or its folder does not.
    """
    model = network.extract(name)
    if path.exists():
        raise DDNNError(f"{path} exists already; give another --output")
    if not path.parent.is_dir():
        raise DDNNError(f"the folder {path.parent} does not exist; make it, or give another --output")
    description = {**network.config(), "name": name, "depth": list(network.depths[name])}
    write_tensors(path, model.state_dict(), {"ddnn": json.dumps(description)})
