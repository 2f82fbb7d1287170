"""Balanced orders: each class as often as the others, in every process and in every part of an epoch that goes on."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddnn.data.balance import Balance
from ddnn.data.order import EpochOrder

LABELS = np.array([0] * 50 + [1] * 7 + [2] * 3)


def order(share: tuple[int, int] = (0, 1), parts: int = 1, repeats: int = 1) -> EpochOrder:
    return EpochOrder(60, 12, 3, True, share, parts, repeats, balance=Balance(LABELS))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 5))
def test_classes_come_equally_often_and_images_of_a_class_too(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    drawn = Balance(labels).shuffled(torch.Generator().manual_seed(seed)).numpy()
    assert len(drawn) == len(labels)
    of_class = Counter(labels[drawn].tolist())
    assert max(of_class.values()) - min(of_class[label] for label in range(len(counts))) <= 1
    of_image = Counter(drawn.tolist())
    for label in range(len(counts)):
        times = [of_image[image] for image in np.flatnonzero(labels == label).tolist()]
        assert max(times) - min(times) <= 1


def test_the_order_follows_from_seed_and_epoch() -> None:
    assert torch.equal(order().indices(4), order().indices(4))
    assert not torch.equal(order().indices(4), order().indices(5))


@pytest.mark.parametrize(("processes", "parts"), [(2, 1), (3, 2)])
def test_processes_and_parts_see_together_what_one_would(processes: int, parts: int) -> None:
    shares = [order((rank, processes), parts) for rank in range(processes)]
    alone = order().indices(2)
    joined = torch.empty_like(alone)
    for rank, own in enumerate(shares):
        joined[rank::processes] = own.indices(2)
    assert torch.equal(joined, alone)


@pytest.mark.parametrize("repeats", [1, 3])
def test_no_sample_of_an_epoch_is_augmented_like_another_of_its_image(repeats: int) -> None:
    orders = [order((rank, 2), repeats=repeats) for rank in range(2)]
    samples = [
        pair for own in orders for pair in zip(own.indices(1).tolist(), own.occurrences(1).tolist(), strict=True)
    ]
    assert len(set(samples)) == len(samples)


def test_without_balance_each_image_has_one_sample_as_before() -> None:
    plain = EpochOrder(60, 12, 3, True)
    assert sorted(plain.indices(1).tolist()) == list(range(60))
    assert plain.occurrences(1).tolist() == [0] * 60
