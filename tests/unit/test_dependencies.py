"""The versions that the tests run with are among those that the packages say they work with; both have one version."""

import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OWN = {"ddnn", "ddnn-runtime"}


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def test_the_locked_versions_are_within_the_bounds() -> None:
    full, runtime = project(ROOT), project(ROOT / "runtime")
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines())
    locked = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines) if name}
    groups = [full["optional-dependencies"][name] for name in ("dev", "onnx", "search", "timm")]
    wanted = [Requirement(text) for group in (full["dependencies"], runtime["dependencies"], *groups) for text in group]
    outside = [
        f"{requirement} and {locked[name]}"
        for requirement in wanted
        if (name := canonicalize_name(requirement.name)) not in OWN
        and not requirement.specifier.contains(locked[name], prereleases=True)
    ]
    assert not outside


def test_ddnn_asks_for_the_runtime_of_its_own_version() -> None:
    full, runtime = project(ROOT), project(ROOT / "runtime")
    assert full["version"] == runtime["version"]
    assert f"ddnn-runtime=={full['version']}" in full["dependencies"]


def test_the_runtime_needs_little() -> None:
    """A device installs all of it; README.md says how much that is."""
    needed = {canonicalize_name(Requirement(text).name) for text in project(ROOT / "runtime")["dependencies"]}
    assert needed <= {"msgspec", "numpy", "onnxruntime", "pillow"}


def test_the_runtime_has_the_licence_too() -> None:
    assert (ROOT / "LICENSE").read_text() == (ROOT / "runtime" / "LICENSE").read_text()
