import shutil
from pathlib import Path

import pytest

import ddnn
from ddnn.deployment import Runtime
from tests.exports import shared_export, small_network


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that is only read."""
    return shared_export(tmp_path_factory)


@pytest.fixture
def copied(export: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(export, tmp_path / "export"))


@pytest.fixture(scope="session")
def network() -> ddnn.DepthDynamicNetwork:
    return small_network()


@pytest.fixture
def runtime(export: Path) -> Runtime:
    return Runtime(export, threads=1)
