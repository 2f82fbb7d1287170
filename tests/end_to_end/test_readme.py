"""What the README shows can be pasted."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len([line for line in examples[0].splitlines() if line.strip()]) <= 16
    for example in examples:
        exec(compile(example, str(README), "exec"), {})
    assert (tmp_path / "my-network" / "model.safetensors").is_file()
