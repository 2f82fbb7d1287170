"""The versions that the tests run with are among those that the package says it works with."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_the_locked_versions_are_within_the_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines())
    locked = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines) if name}
    groups = project["optional-dependencies"]
    wanted = [Requirement(text) for group in (project["dependencies"], groups["dev"], groups["onnx"], groups["search"],
                                              groups["timm"]) for text in group]  # fmt: skip
    outside = [
        f"{requirement} and {locked[name]}"
        for requirement in wanted
        if (name := canonicalize_name(requirement.name)) not in ("ddnn", "ddnn-runtime")
        and not requirement.specifier.contains(locked[name], prereleases=True)
    ]
    assert not outside
