from dataclasses import replace

import pytest
import torch

from ddnn.config import AugmentConfig, DataConfig
from ddnn.data import open_data
from tests.unit.data.loaders import batches, same

CONFIG = DataConfig(batch_size=60, train_images=300)


def training(augment: AugmentConfig, **share):
    return open_data(replace(CONFIG, augment=augment), 3).training("cpu", **share)


@pytest.mark.parametrize("augment", [AugmentConfig(mixup=0.4), AugmentConfig(cutmix=1.0)])
def test_images_and_labels_are_mixed_in_the_same_shares(augment):
    plain = batches(training(AugmentConfig()), 2)
    for (images, labels), (mixed, shares) in zip(plain, batches(training(augment), 2), strict=True):
        assert shares.shape == (len(labels), 10)
        torch.testing.assert_close(shares.sum(1), torch.ones(len(labels)))
        apart = labels != labels.roll(1)
        (lam,) = {round(float(share), 4) for share in shares.gather(1, labels[:, None])[apart]}
        if augment.mixup:
            torch.testing.assert_close(mixed, lam * images + (1 - lam) * images.roll(1, 0), atol=1e-3, rtol=0)
        else:
            kept = (mixed == images).all(1)  # a pixel is of one image or of the other
            assert bool((kept | (mixed == images.roll(1, 0)).all(1)).all())
            assert float(kept.float().mean()) >= lam - 1e-4


def test_the_next_batch_draws_anew_and_a_resumed_epoch_draws_the_same():
    loader = training(AugmentConfig(mixup=1.0, cutmix=1.0))
    whole = batches(loader, 4)
    assert len({round(float(shares.max(1).values.min()), 4) for _, shares in whole}) > 1
    assert same(whole, batches(loader, 4))
    loader.set_epoch(4, 2)
    assert same(whole[2:], list(loader))


def test_processes_draw_alike():
    shares = [batches(training(AugmentConfig(mixup=1.0), share=(rank, 2)), 1) for rank in range(2)]
    for (_, first), (_, second) in zip(*shares, strict=True):
        values = [{round(float(value), 4) for value in each.unique()} for each in (first, second)]
        assert values[0] & values[1] - {0.0, 1.0}


def test_nothing_is_drawn_from_the_global_generator():
    loader = training(AugmentConfig(mixup=1.0))
    state = torch.get_rng_state()
    batches(loader)
    assert torch.equal(state, torch.get_rng_state())
