"""One net of a network as a file that the stock class loads: a plain state dict in safetensors."""

import json
from pathlib import Path

from ddnn.errors import DDNNError
from ddnn.network import DepthDynamicNetwork
from ddnn.network.storage import write_tensors


def extract_to_file(network: DepthDynamicNetwork, name: str, path: Path) -> None:
    """Write the state dict of one net; the file's metadata says what it is.

    Args:
        network: any.
        name: which net.
        path: a file that does not exist; its folder does.

    Raises:
        DDNNError: if there is no such net, the file exists, or its folder does not.

    Example:
        Load the file with torchvision alone:

            model = torchvision.models.resnet18(num_classes=10)
            model.load_state_dict(safetensors.torch.load_file("resnet18.safetensors"))
    """
    model = network.extract(name)
    if path.exists():
        raise DDNNError(f"{path} exists already; give another --output")
    if not path.parent.is_dir():
        raise DDNNError(f"the folder {path.parent} does not exist; make it, or give another --output")
    description = {**network.config(), "name": name, "depth": list(network.depths[name])}
    write_tensors(path, model.state_dict(), {"ddnn": json.dumps(description)})
