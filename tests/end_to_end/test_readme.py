"""What the README shows can be pasted."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from ddnn import build
from ddnn.config import AugmentConfig, TrainConfig, from_fields
from ddnn.recipes import recipe_file, recipe_names

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len([line for line in examples[0].splitlines() if line.strip()]) <= 16
    for example in examples:
        exec(compile(example, str(README), "exec"), {})
    assert (tmp_path / "my-network" / "model.safetensors").is_file()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_valid_configuration(name: str) -> None:
    fields = yaml.safe_load(recipe_file(name).read_text())
    config = from_fields(
        TrainConfig,
        {**asdict(TrainConfig()), **fields, "augment": {**asdict(AugmentConfig()), **fields.get("augment", {})}},
    )
    build(config.full, config.subnet_depths, num_classes=10, **config.model_options)
