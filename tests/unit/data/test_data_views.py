"""What sub-nets see: the full net's crops, and nothing else that was done to them."""

from dataclasses import replace

import pytest
import torch

from ddnn.config import AugmentConfig, DataConfig
from ddnn.data import open_data
from ddnn.data.loader import Views
from tests.unit.data.loaders import batches, same

STRONG = {"policy": "trivialaugment", "mixup": 1.0}
SMALL = DataConfig(batch_size=60, train_images=300)


def views(config: DataConfig, augment: AugmentConfig, epoch: int = 2, first: int = 0, **share: object) -> list[Views]:
    loader = open_data(replace(config, augment=augment), 3).batches("cpu", **share)  # type: ignore[arg-type]
    loader.set_epoch(epoch, first)
    found = list(loader)
    assert all(isinstance(batch, Views) for batch in found)
    return found  # type: ignore[return-value]


@pytest.fixture(params=["in memory", "large"])
def config(request: pytest.FixtureRequest, make_folder) -> DataConfig:
    if request.param == "in memory":
        return SMALL
    root = make_folder({"train/cat": 6, "train/dog": 6})
    return DataConfig(f"folder:{root}", image_size=72, batch_size=4, workers=0, validation=0)


def test_the_full_net_sees_what_it_would_and_sub_nets_the_crops_with_plain_labels(config: DataConfig) -> None:
    both = views(config, AugmentConfig(**STRONG, subnets="weak"))
    strong = batches(open_data(replace(config, augment=AugmentConfig(**STRONG)), 3).training("cpu"), 2)
    plain = batches(open_data(replace(config, augment=AugmentConfig()), 3).training("cpu"), 2)
    assert same([batch[:2] for batch in both], strong)
    assert same([batch[2:] for batch in both], plain)
    assert not torch.equal(both[0].images, both[0].subnet_images)


def test_without_mixing_only_some_images_differ_and_labels_are_the_same(config: DataConfig) -> None:
    for batch in views(config, AugmentConfig(erase=0.5, subnets="weak")):
        assert torch.equal(batch.labels, batch.subnet_labels)
        same_pixels = batch.images == batch.subnet_images
        assert 0.5 < same_pixels.float().mean() < 1


def test_an_epoch_can_begin_in_the_middle(config: DataConfig) -> None:
    augment = AugmentConfig(**STRONG, erase=0.3, subnets="weak")
    whole, rest = views(config, augment), views(config, augment, first=2)
    assert len(rest) == len(whole) - 2
    for one, other in zip(whole[2:], rest, strict=True):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_processes_share_both_views(config: DataConfig) -> None:
    augment = AugmentConfig(policy="randaugment", subnets="weak")
    whole = views(config, augment)
    for rank in range(2):
        for one, own in zip(whole, views(config, augment, share=(rank, 2)), strict=True):
            assert all(torch.equal(mine[rank::2], theirs) for mine, theirs in zip(one, own, strict=True))


def test_statistics_are_set_by_what_sub_nets_see(config: DataConfig) -> None:
    weak = open_data(replace(config, augment=AugmentConfig(**STRONG, erase=0.5, subnets="weak")), 3)
    plain = open_data(replace(config, augment=AugmentConfig()), 3)
    assert same(batches(weak.for_norms("cpu")), batches(plain.training("cpu")))


def test_workers_hand_over_both_views(make_folder) -> None:
    root = make_folder({"train/cat": 4, "train/dog": 4})
    config = DataConfig(f"folder:{root}", image_size=72, batch_size=4, workers=2, validation=0)
    augment = AugmentConfig(policy="trivialaugment", subnets="weak")
    here, there = views(replace(config, workers=0), augment), views(config, augment)
    for one, other in zip(here, there, strict=True):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_a_weak_view_of_what_is_not_strong_is_refused() -> None:
    with pytest.raises(ValueError, match=r"augment.subnets weak leaves out .* none of them is on"):
        AugmentConfig(subnets="weak")
