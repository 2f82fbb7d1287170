from dataclasses import replace
from pathlib import Path

import pytest

from ddnn.config import EKDConfig, TrainConfig
from ddnn.errors import DDNNError
from ddnn.runs.run_directory import RunDirectory


def test_a_configuration_comes_back_as_it_was(tmp_path: Path) -> None:
    config = TrainConfig(subnets={"tiny": [1, 1, 1]}, ekd=EKDConfig(alpha=0.3), model_options={"width": 2})
    directory = RunDirectory(tmp_path / "run")
    directory.create(config)
    assert directory.read_config() == config


END = "precision: 32-true"


@pytest.mark.parametrize(
    "text",
    [
        "[", "", "full: resnet20", "1", "augment: {}\nekd: {alpha: -1}", f"ekd: {{alpha: -1}}\n{END}", END[:-2],
        f"ekd: 3\n{END}", f"compile: maybe\n{END}", f"subnets_per_step: 1.5\n{END}",
    ],
)  # fmt: skip
def test_a_damaged_configuration_is_refused(tmp_path: Path, text: str) -> None:
    directory = RunDirectory(tmp_path)
    directory.config_file.write_text(text)
    with pytest.raises(DDNNError):
        directory.read_config()


def test_a_configuration_that_ends_early_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path).create(TrainConfig(compile=True))
    lines = directory.config_file.read_text().splitlines(keepends=True)
    for count in range(len(lines)):
        directory.config_file.write_text("".join(lines[:count]))
        with pytest.raises(DDNNError, match="damaged"):
            directory.read_config()


def test_a_configuration_of_an_older_version_has_the_defaults_of_newer_keys(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path).create(TrainConfig(epochs=3, ekd=EKDConfig(alpha=0.3)))
    newer = ("subnets_per_step", "compile", "channels_last", "activation_checkpointing", "  attention_stages")
    lines = [line for line in directory.config_file.read_text().splitlines() if not line.startswith(newer)]
    assert len(directory.config_file.read_text().splitlines()) == len(lines) + len(newer)
    directory.config_file.write_text("\n".join(lines))
    assert directory.read_config() == TrainConfig(epochs=3, ekd=EKDConfig(alpha=0.3))


def test_keys_that_no_field_has_are_refused_by_name(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path).create(TrainConfig())
    text = directory.config_file.read_text()
    directory.config_file.write_text("epochz: 3\n" + text.replace("  alpha:", "  alhpa: 1\n  alpha:"))
    with pytest.raises(DDNNError, match=r"does not know: epochz, ekd\.alhpa; use"):
        directory.read_config()


def test_metrics_of_a_run_that_was_cut_short_are_replaced(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    for row in ({"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0}, {"epoch": 2, "loss": 2.5, "new": 1}):
        directory.append_metrics(row)
    rows = directory.read_metrics()
    assert [(row["epoch"], row["loss"], row["new"]) for row in rows] == [("1", "3.0", ""), ("2", "2.5", "1")]


def test_a_run_is_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = RunDirectory.claim(TrainConfig())
    assert str(first.path) == "runs/resnet20-digits"
    first.create(TrainConfig())
    assert str(RunDirectory.claim(TrainConfig()).path) == "runs/resnet20-digits-2"
    with pytest.raises(DDNNError, match="exists already"):
        RunDirectory.claim(TrainConfig(output=str(first.path)))
    (tmp_path / "empty").mkdir()
    assert RunDirectory.claim(TrainConfig(output="empty")).path == Path("empty")


def test_two_runs_that_start_together_get_a_directory_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    claimed = [RunDirectory.claim(TrainConfig()) for _ in range(3)]
    assert len({directory.path for directory in claimed}) == 1
    made = [directory.create(TrainConfig(seed=seed)) for seed, directory in enumerate(claimed)]
    assert [directory.path.name for directory in made] == ["resnet20-digits", "resnet20-digits-2", "resnet20-digits-3"]
    assert [directory.read_config().seed for directory in made] == [0, 1, 2]
    own = TrainConfig(output="mine")
    claimed = [RunDirectory.claim(own), RunDirectory.claim(own)]
    claimed[0].create(own)
    with pytest.raises(DDNNError, match="exists already"):
        claimed[1].create(own)


def test_paths_are_written_as_text_and_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(DDNNError, match="cannot be written as YAML"):
        directory.create(TrainConfig(model_options={"norm": object()}))
    assert not directory.path.exists()
    directory.create(replace(TrainConfig(), weights=Path("a") / "b.pt"))
    assert directory.read_config().weights == "a/b.pt"


def test_what_a_run_that_broke_off_left_is_removed_unless_it_can_go_on(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for there in (True, False):
        before = RunDirectory(tmp_path / "run").entries()
        directory = RunDirectory(tmp_path / "run").create(TrainConfig())
        directory.tensorboard.mkdir()
        assert "no epoch was complete" in directory.tidy(before)
        assert directory.path.exists() == there
        if there:
            directory.path.rmdir()
    directory = directory.create(TrainConfig())
    directory.checkpoints.mkdir()
    directory.last_checkpoint.touch()
    assert "last.ckpt" in directory.tidy(None)
    assert directory.config_file.exists()
    before = directory.entries()
    directory.last_checkpoint.unlink()
    directory.tidy(before)  # what was there before a run is never removed
    assert directory.config_file.exists()
