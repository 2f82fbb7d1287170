"""What a saved network takes on disk, against its full net's own safetensors file.

python benchmarks/file_size.py [--full resnet34 --subnets resnet18,…]
"""

import tempfile
from pathlib import Path

from jsonargparse import auto_cli
from safetensors.torch import save_file

import ddnn
from timing import report


def main(full: str = "resnet34", subnets: tuple[str, ...] = ("resnet18",)) -> None:
    """Print sizes in bytes and their ratio.

    Args:
        full: the full net.
        subnets: its sub-nets.
    """
    network = ddnn.build(full, subnets)
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder, "network"))
        save_file(network.extract(full).state_dict(), Path(folder, "full.safetensors"))
        whole = sum(path.stat().st_size for path in Path(folder, "network").iterdir())
        alone = Path(folder, "full.safetensors").stat().st_size
    rows = [{"network": whole, "full net": alone, "ratio": whole / alone}]
    report(f"{full} with {', '.join(subnets)}", ["network", "full net", "ratio"], rows)


if __name__ == "__main__":
    auto_cli(main)
