"""What the READMEs and the page of families show can be pasted."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.exports import shared_export

ROOT = Path(__file__).resolve().parents[2]


def test_the_python_examples_run(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export").symlink_to(shared_export(tmp_path_factory))  # what the commands above an example leave
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save("photo.png")
    examples = _examples("README.md")
    further = [example for page in ("docs/families.md", "runtime/README.md") for example in _examples(page)]
    assert len([line for line in examples[0].splitlines() if line.strip()]) <= 12
    for example in examples + further:
        exec(compile(example, "example", "exec"), {})
    assert (tmp_path / "my-network" / "model.safetensors").is_file()


def _examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
