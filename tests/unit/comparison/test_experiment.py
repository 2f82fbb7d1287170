"""The results folder: it takes up its own comparison, and refuses all else."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ddnn.comparison.experiment import Experiment, RunScores
from ddnn.comparison.methods import Task
from ddnn.config import CompareConfig, TrainConfig
from ddnn.errors import DDNNError, ModelFileError
from ddnn.measuring.evaluation import Score
from ddnn.runs.run_directory import LAST_KEY

TASK = Task("alone", 0, "resnet8")
SCORES = RunScores({"resnet8": Score(0.5, (0.4, 0.6), 1.0, 0.1, 100)}, 12.5, None, "a machine")


@pytest.fixture
def config(tmp_path: Path) -> CompareConfig:
    return CompareConfig(output=str(tmp_path / "results"))


def opened(config: CompareConfig) -> Experiment:
    with Experiment.open(config) as experiment:
        return experiment


def test_scores_come_back_as_they_were_written(config: CompareConfig) -> None:
    experiment = opened(config)
    assert experiment.scores(TASK) is None
    experiment.run_directory(TASK).checkpoints.mkdir(parents=True)
    experiment.complete(TASK, SCORES)
    assert experiment.scores(TASK) == SCORES
    assert not experiment.run_directory(TASK).checkpoints.exists()


@pytest.mark.parametrize(
    "change", [{"methods": "adn"}, {"seeds": "7"}, {"jobs": 2}, {"train": TrainConfig(device="cpu")}]
)
def test_methods_and_seeds_may_be_added(config: CompareConfig, change: dict[str, object]) -> None:
    opened(config)
    opened(replace(config, **change))  # type: ignore[arg-type]


def test_one_of_an_earlier_version_which_knew_fewer_keys_goes_on(config: CompareConfig) -> None:
    with Experiment.open(config) as experiment:
        file = experiment.conditions_file
    known = yaml.safe_load(file.read_text())
    del known["shards"], known["ema"], known["augment"]["mixup"]
    file.write_text(yaml.safe_dump(known))
    opened(config)
    file.write_text(yaml.safe_dump({key: value for key, value in known.items() if key != LAST_KEY}))
    with pytest.raises(DDNNError, match="another comparison"):
        opened(config)
    file.write_text(yaml.safe_dump(known))
    with pytest.raises(DDNNError, match=r"with ema None there and 0\.9 here"):
        opened(replace(config, train=replace(config.train, ema=0.9)))


def test_another_comparison_is_refused_and_the_keys_named(config: CompareConfig) -> None:
    opened(config)
    with pytest.raises(
        DDNNError, match=r"another comparison, with lr None there and 0\.05 here; give another --output"
    ):
        opened(replace(config, train=TrainConfig(lr=0.05)))
    with pytest.raises(DDNNError, match=r"finetune 0\.3 there and 0\.5 here"):
        opened(replace(config, finetune=0.5))


def test_a_folder_of_something_else_is_refused(config: CompareConfig) -> None:
    folder = Path(str(config.output))
    folder.mkdir()
    (folder / "thesis.tex").touch()
    with pytest.raises(DDNNError, match="exists already and is no comparison; give another --output"):
        opened(config)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_damaged_files_are_named(config: CompareConfig) -> None:
    experiment = opened(config)
    file = experiment.path / "scores" / f"{TASK.key}.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"scores": {"resnet8"')
    with pytest.raises(ModelFileError, match=r"seed0\.json is damaged: .*; delete it to run .* again"):
        experiment.scores(TASK)
    experiment.conditions_file.write_text("{[")
    with pytest.raises(ModelFileError, match="is damaged"):
        opened(config)


def test_scores_where_an_earlier_version_wrote_them_count(config: CompareConfig) -> None:
    experiment = opened(config)
    experiment.complete(TASK, SCORES)
    directory = experiment.run_directory(TASK).path
    directory.mkdir(parents=True)
    (experiment.path / "scores" / f"{TASK.key}.json").rename(directory / "scores.json")
    assert experiment.scores(TASK) == SCORES


def test_scores_of_another_length_are_refused(config: CompareConfig) -> None:
    experiment = opened(config)
    experiment.complete(TASK, replace(SCORES, epochs=120))
    assert experiment.scores(replace(TASK, epochs=120)) is not None
    with pytest.raises(ModelFileError, match=r"is of a run of 120 epochs, and .* is to have 123 now"):
        experiment.scores(replace(TASK, epochs=123))


def test_a_run_without_a_whole_epoch_starts_again(config: CompareConfig) -> None:
    directory = opened(config).run_directory(TASK)
    directory.path.mkdir(parents=True)
    directory.config_file.touch()
    assert not opened(config).resumable(TASK)
    assert not directory.path.exists()
    directory.checkpoints.mkdir(parents=True)
    directory.last_checkpoint.touch()
    assert opened(config).resumable(TASK)


def test_two_comparisons_cannot_be_in_one_folder(config: CompareConfig) -> None:
    with (
        Experiment.open(config),
        pytest.raises(DDNNError, match=r"another ddnn compare is at work in .*; wait for it"),
    ):
        opened(config)
    opened(config)


def test_one_that_was_killed_before_it_wrote_anything_leaves_a_folder_to_go_on_with(config: CompareConfig) -> None:
    folder = Path(str(config.output))
    folder.mkdir()
    (folder / ".lock").touch()
    assert opened(config).conditions_file.is_file()
