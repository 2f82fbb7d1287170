"""Both distributions as users get them: built, checked, installed into environments of their own, and used there.

Such an environment has links to packages that are installed here, and to those alone that the wheels ask for. So
nothing is downloaded, and what a wheel forgets to ask for is missing.
"""

import json
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from ddnn_runtime import Runtime
from tests.shared import made_once

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tests" / "files" / "loose_modules"
SOURCES = {"ddnn": ROOT / "src", "ddnn_runtime": ROOT / "runtime" / "src"}

ON_A_DEVICE = """
import importlib.util, json, sys
for absent in ("torch", "ddnn"):
    assert importlib.util.find_spec(absent) is None, f"this environment has {absent}"
from ddnn_runtime import Runtime
from ddnn_runtime.image_files import image_files
runtime = Runtime(sys.argv[1], threads=1)
images = runtime.read(*image_files([sys.argv[2]]))
result = {name: runtime(images, name).tolist() for name in runtime.names}
result["cascade"] = runtime.cascade(images, {runtime.names[0]: 0.0}).logits.tolist()
assert runtime.best_within(1e6) in runtime.names
print(json.dumps(result))
"""

IN_FULL = """
import ddnn, ddnn.deployment, ddnn.errors, ddnn_runtime, sys
assert ddnn.__version__ == ddnn_runtime.__version__
assert ddnn.__file__.startswith(sys.prefix) and ddnn_runtime.__file__.startswith(sys.prefix)
assert ddnn.deployment.Runtime is ddnn_runtime.Runtime and ddnn.DDNNError is ddnn_runtime.DDNNError
sys.argv = ["ddnn", *sys.argv[1:]]
from ddnn.cli import main
sys.exit(main())
"""


def output_of(*command: object) -> str:
    """What a command prints, which must not fail."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source archive of both, and the wheel that was made from it."""
    for tool in ("build", "hatchling", "twine"):
        pytest.importorskip(tool, reason=f"{tool} is not installed: pip install --editable '.[dev]'")

    def build(folder: Path) -> None:
        for source in (ROOT, ROOT / "runtime"):
            output_of(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source)

    return made_once(tmp_path_factory, "distributions", build)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (10, 12), dtype=np.uint8)).save(path)
    return path


def environment(folder: Path, *wheels: Path) -> Path:
    """The Python of a new environment with these wheels and nothing else."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    output_of(*pip(python), "install", "--no-index", "--no-deps", "--no-compile", *wheels)
    return python


def pip(python: Path) -> tuple[object, ...]:
    """The pip of this environment, which works on that one."""
    return sys.executable, "-m", "pip", "--python", python


def site(python: Path) -> Path:
    (found,) = python.parents[1].glob("lib/python*/site-packages")
    return found


def asked_by(package: Distribution, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """What a package asks for on this machine."""
    for need in map(Requirement, package.requires or []):
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield need


def link(python: Path, *needs: Requirement) -> None:
    """Put links to these packages, and to what they ask for, into an environment."""
    there = {canonicalize_name(package.name) for package in distributions(path=[str(site(python))])}
    left, seen = list(needs), set[str]()
    while left:
        need = left.pop()
        if str(need) in seen or canonicalize_name(need.name) in there:
            continue
        seen.add(str(need))
        package = distribution(need.name)
        left += asked_by(package, need.extras)
        for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            if not (site(python) / top).exists():
                (site(python) / top).symlink_to(str(package.locate_file(top)))


def complete(python: Path) -> Path:
    """An environment, with all that its wheels ask for."""
    link(python, *[need for wheel in distributions(path=[str(site(python))]) for need in asked_by(wheel)])
    output_of(*pip(python), "check")
    return python


def test_both_are_as_a_package_index_wants_them(built: Path) -> None:
    archives = sorted(built.iterdir())
    assert len(archives) == 4
    output_of(sys.executable, "-m", "twine", "check", "--strict", *archives)


@pytest.mark.parametrize("name", SOURCES)
def test_a_wheel_has_all_files_of_the_source_and_no_others(built: Path, name: str) -> None:
    (wheel,) = built.glob(f"{name}-*.whl")
    packed = {Path(file) for file in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in file}
    source = (path for path in (SOURCES[name] / name).rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert packed == {path.relative_to(SOURCES[name]) for path in source}


def test_the_runtime_alone_runs_an_export(built: Path, image: Path, tmp_path: Path) -> None:
    python = complete(environment(tmp_path / "device", *built.glob("ddnn_runtime-*.whl")))
    listed = json.loads(output_of(*pip(python), "list", "--format", "json"))
    assert {"torch", "ddnn"}.isdisjoint(package["name"] for package in listed)
    found = json.loads(output_of(python, "-I", "-c", ON_A_DEVICE, FILES / "export", image))
    runtime = Runtime(FILES / "export", threads=1)
    images = runtime.read(image)
    for name in runtime.names:
        np.testing.assert_allclose(found[name], runtime(images, name), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["cascade"], runtime(images, runtime.names[0]), rtol=0, atol=1e-4)


def test_ddnn_brings_the_runtime(built: Path, image: Path, tmp_path: Path) -> None:
    python = complete(environment(tmp_path / "full", *built.glob("*.whl")))
    command = ("predict", FILES / "run", image, "--json")
    found = json.loads(output_of(python, "-I", "-c", IN_FULL, *command))["predictions"][0]
    runtime = Runtime(FILES / "export", threads=1)
    assert runtime.class_names is not None
    assert found["labels"][0] == runtime.class_names[runtime(runtime.read(image))[0].argmax()]


def test_exports_are_profiled_without_torch(built: Path, tmp_path: Path) -> None:
    """On a device that has no room for all that ddnn asks for; docs/profiling.md names what it takes."""
    python = environment(tmp_path / "device", *built.glob("*.whl"))
    (runtime,) = distributions(name="ddnn-runtime", path=[str(site(python))])
    link(python, *asked_by(runtime), *map(Requirement, ("jsonargparse[signatures]", "pyyaml", "rich")))
    output = tmp_path / "profile"
    command = ("profile", FILES / "export", "--seconds", "0.01", "--threads", "1", "--output", output)
    output_of(python, "-I", "-m", "ddnn", *command)
    assert set(json.loads((output / "profile.json").read_text())["nets"]) == {"shallow", "densenet40_bc"}
