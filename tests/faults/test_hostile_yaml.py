"""YAML that is a bomb, a riddle or a programme: refused with one message wherever a configuration is read."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn import DDNNError, TrainConfig
from ddnn.formats.safe_yaml import MOST_BYTES, UnusableYaml, parse_yaml
from ddnn.runs.run_directory import RunDirectory
from tests.end_to_end.command import refused, run
from tests.repeats import environment_number

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
)
HOSTILE = {
    "billion laughs": (BOMB, "more than the 20,000 values"),
    "billion laughs of mappings": (
        "a0: &a0 {x: 1}\n"
        + "".join(
            f"a{level}: &a{level} {{b: *a{level - 1}, c: *a{level - 1}, d: *a{level - 1}}}\n" for level in range(1, 25)
        ),
        "each alias counted as what it stands for",
    ),
    "a merge of bombs": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30)),
        "each alias counted as what it stands for",
    ),
    "inside itself": ("full: &a [*a]\n", "stands for what it is in"),
    "nested lists": ("full: " + "[" * 5000 + "]" * 5000 + "\n", "nested more than 30 deep, in line 1"),
    "nested mappings": ("".join(f"{' ' * n}a:\n" for n in range(500)), "nested more than 30 deep, in line 31"),
    "never closed": ("full: " + "[" * 100_000 + "\n", "nested more than 30 deep"),
    "long": ("#" * MOST_BYTES + "\nepochs: 3\n", "more than the 262,144 bytes"),
    "many values": (f"milestones: [{', '.join(['0.5'] * 30_000)}]\n", "more than the 20,000 values"),
    "huge integer": (f"epochs: {'9' * 5000}\n", "the number in line 1 has more than 300 digits"),
    "huge sexagesimal": (f"epochs: 1{':59' * 2000}\n", "the number in line 1 has more than 300 digits"),
    "huge hexadecimal": (f"epochs: 0x{'f' * 5000}\n", "the number in line 1 has more than 300 digits"),
    "a key twice": ("epochs: 3\nseed: 1\nepochs: 4\n", "has the key epochs twice, in line 3"),
    "an inner key twice": ("ekd: {alpha: 1, alpha: 2}\n", "has the key alpha twice, in line 1"),
    "a Python object": (
        "full: !!python/object/apply:os.system ['touch hacked']\n",
        "could not determine a constructor",
    ),
    "a Python name": ("full: !!python/name:os.system\n", "could not determine a constructor"),
    "an unknown tag": ("full: !mine resnet8\n", "could not determine a constructor"),
    "a tag that lies": ("epochs: !!int many\n", "not what its tag says"),
    "a boolean that lies": ("compile: !!bool perhaps\n", "not what its tag says"),
    "a date that is none": ("full: 2020-99-99\n", "not what its tag says"),
    "two documents": ("epochs: 1\n---\nepochs: 2\n", "single document"),
    "an unhashable key": ("? [a]\n: 1\n", "unhashable key"),
    "control characters": ("full: \x07\n", "special characters are not allowed"),
}


TOKENS = [
    "a", "1", "- ", ": ", "? ", "\n", " ", "[", "]", "{", "}", ",", "&x ", "*x", "!!int ", "!!map ", "<<", "|", ">",
    "'", '"', "#", "%", "---\n", "...\n", "!!binary ", "!!timestamp ", "!!set ", "!!omap ", "1:2", "0x", ".nan",
]  # fmt: skip


@settings(max_examples=environment_number("DDNN_YAML", 300))
@given(st.lists(st.sampled_from(TOKENS) | st.text(max_size=3), max_size=20).map("".join))
def test_any_text_is_read_or_refused_with_one_line(text: str) -> None:
    told = ""
    try:
        parse_yaml(text)
    except UnusableYaml as error:
        told = str(error)
    assert len(told.splitlines()) <= 1


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_as_a_configuration(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text, message = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    told = refused(run(capfd, "train", "--config", file, "--output", "run"), status=2)
    assert told.startswith(f"ddnn: error: {file} cannot be read as YAML: ")
    assert message in told
    assert len(told) < 600
    assert not (tmp_path / "hacked").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_a_run_directory(name: str, tmp_path: Path) -> None:
    text, message = HOSTILE[name]
    directory = RunDirectory(tmp_path)
    directory.config_file.write_text(text + "precision: 32-true\n")
    with pytest.raises(DDNNError, match=f"{directory.config_file} is damaged: ") as told:
        directory.read_config()
    assert message in str(told.value)


def test_aliases_merges_and_large_numbers_that_make_sense_are_read() -> None:
    text = "x: &x {a: 1, b: [1.5, null]}\ny: {<<: *x, a: 2}\nz: [*x, *x]\nn: 12345678901234567890\nf: 1e300\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    merged = "base: &b {x: 1}\na:\n  b: &m {<<: *b, x: 2}\ntop: {<<: *m}\n"
    assert parse_yaml(merged) == yaml.safe_load(merged)
    assert parse_yaml("") is None
    with pytest.raises(UnusableYaml, match="twice"):
        parse_yaml("{a: 1, a: 1}")


def test_what_a_run_writes_is_read_again(tmp_path: Path) -> None:
    subnets = {f"net{number}": [1, 1, number + 1] for number in range(200)}
    config = TrainConfig(full="resnet1202", subnets=subnets, loss_weights=dict.fromkeys(subnets, 0.5), output="x")
    RunDirectory(tmp_path / "run").create(config)
    assert RunDirectory(tmp_path / "run").read_config().subnets == subnets


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 2000, "&a [*a]", "!!python/name:os.system"])
def test_the_same_on_the_command_line(value: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for key in ("--epochs", "--subnets", "--model_options"):
        result = run(capfd, "train", key, value, "--output", tmp_path / "run")
        assert result.status in (1, 2), (key, value[:20], result.err[-500:])
        assert result.err.startswith("ddnn: error: ")
        assert "Traceback" not in result.err
        assert not (tmp_path / "run").exists()
