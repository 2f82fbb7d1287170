"""What the README shows can be pasted."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)[0]
    assert len([line for line in example.splitlines() if line.strip()]) <= 16
    exec(compile(example, str(README), "exec"), {})
    assert (tmp_path / "my-network" / "model.safetensors").is_file()
