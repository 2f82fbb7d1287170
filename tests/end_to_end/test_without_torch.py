"""The runtime in an environment that has onnxruntime, numpy, Pillow and msgspec, and no torch: as on a device."""

import importlib.metadata
import json
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ddnn
from ddnn.deployment import Runtime
from tests.exports import shared_export

ON_A_DEVICE = """
import importlib.util, json, sys
assert importlib.util.find_spec("torch") is None, "this environment has torch"
from ddnn.deployment import Runtime
runtime = Runtime(sys.argv[1], threads=1)
images = runtime.read(sys.argv[2])
result = {name: runtime(images, name).tolist() for name in runtime.names}
result["cascade"] = runtime.cascade(images, {"resnet8": 0.0}).logits.tolist()
assert runtime.best_within(1e6) in runtime.names
print(json.dumps(result))
"""


def with_requirements(names: list[str]) -> Iterator[importlib.metadata.Distribution]:
    """Installed packages, and what they need, extras aside."""
    seen: set[str] = set()
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # for another Python or system
            continue
        yield found
        needs = [need for need in found.requires or [] if ";" not in need]
        names += [re.split(r"[^\w.-]", need, maxsplit=1)[0] for need in needs]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment; its packages are links to those that are installed here."""
    folder = tmp_path_factory.mktemp("device")
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    links = {}
    for package in with_requirements(["onnxruntime", "numpy", "pillow", "msgspec"]):
        for file in package.files or []:
            if file.parts[0] not in ("..", "__pycache__"):
                links[file.parts[0]] = Path(str(package.locate_file(file.parts[0])))
    (own,) = (path for path in map(Path, sys.path) if [*path.glob("ddnn-*.dist-info")])
    links |= {"ddnn": Path(ddnn.__file__).parent} | {path.name: path for path in own.glob("ddnn-*.dist-info")}
    for name, target in links.items():
        (site / name).symlink_to(target)
    return folder / "bin" / "python"


def test_runs_without_torch(python: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    export = shared_export(tmp_path_factory)
    image = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(image)
    command = [str(python), "-I", "-c", ON_A_DEVICE, str(export), str(image)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    runtime = Runtime(export, threads=1)
    images = runtime.read(image)
    found = json.loads(result.stdout)
    for name in runtime.names:
        np.testing.assert_allclose(found[name], runtime(images, name), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["cascade"], runtime(images, "resnet8"), rtol=0, atol=1e-4)
