"""The source reads files only in ways that cannot run what is in them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ddnn
import ddnn_runtime

PACKAGES = [Path(str(package.__file__)).parent for package in (ddnn, ddnn_runtime)]
SOURCES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
OWN_FILES = {"probe.py"}
"""Reads a model that the process which started it has just written into a temporary folder."""
TARS = {"tars.py", "writing.py"}
"""Read and write tars; what they read is nowhere unpacked."""
FORBIDDEN = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "yaml.safe_load", "joblib.load", "eval", "exec", "os.system", "tarfile.open",
    "shutil.unpack_archive",
}  # fmt: skip


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_nothing_that_can_run_code_is_loaded(path: Path) -> None:
    for name, call in calls(path):
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        assert name not in FORBIDDEN or (name == "tarfile.open" and path.name in TARS), f"{path}: {name}"
        assert not name.endswith(".extractall"), f"{path}: {name}"
        assert not name.endswith(".extract") or path.name not in TARS, f"{path}: {name}"
        assert options.get("shell") != "True", f"{path}: {name}"
        assert options.get("allow_pickle") != "True", f"{path}: {name}"
        if name == "torch.load":
            assert options.get("weights_only") == "True" or path.name in OWN_FILES, f"{path}: {name}"
