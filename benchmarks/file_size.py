"""What a saved network takes on disk, against its full net's own safetensors file.

python benchmarks/file_size.py [--full resnet34 --subnets resnet18]
"""

import tempfile
from pathlib import Path

from safetensors.torch import save_file

import ddnn
from command import SubnetsOption, read_subnets, run
from reporting import Report


def main(full: str = "resnet34", subnets: SubnetsOption = "resnet18", output: str | None = None) -> None:
    """Print sizes in bytes and their ratio.

    Args:
        full: the full net.
        subnets: its sub-nets, as `ddnn train` takes them.
        output: a JSON file for the result.
    """
    chosen = read_subnets(subnets)
    network = ddnn.build(full, chosen)
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder, "network"))
        save_file(network.extract(full).state_dict(), Path(folder, "full.safetensors"))
        whole = sum(path.stat().st_size for path in Path(folder, "network").iterdir())
        alone = Path(folder, "full.safetensors").stat().st_size
    rows = [{"network": whole, "full net": alone, "ratio": whole / alone}]
    Report("What does a saved network take on disk?", output).table(f"bytes: {full} with {', '.join(chosen)}", rows)


if __name__ == "__main__":
    run(main)
