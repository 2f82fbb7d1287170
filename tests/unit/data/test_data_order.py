import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn.data.blocks import Blocks
from ddnn.data.order import EpochOrder, derive_seed
from ddnn.errors import DataError


@settings(max_examples=80, deadline=None)
@given(st.integers(12, 100), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_processes_and_parts_together_see_the_batches_of_one_process(images, own, processes, parts, epoch):
    batch_size = own * processes * parts
    alone = EpochOrder(images, batch_size, 7, True)
    orders = [EpochOrder(images, batch_size, 7, True, (rank, processes), parts) for rank in range(processes)]
    batches = [order.batches(epoch) for order in orders]
    assert {len(order) for order in orders} == {len(shares) for shares in batches} == {len(alone) * parts}
    for step, whole in enumerate(alone.batches(epoch)):
        shares = [share for own in batches for share in own[step * parts : (step + 1) * parts]]
        assert len({len(share) for share in shares}) == 1
        seen = torch.cat(shares).tolist()
        assert len(seen) == len(set(seen))
        assert set(seen) <= set(whole.tolist())
        assert len(seen) == len(whole) or len(alone) == 1  # a single, partial batch may not divide


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 100), st.integers(1, 40), st.integers(1, 4))
def test_evaluation_visits_each_image_once(images, batch_size, processes):
    orders = [EpochOrder(images, batch_size, 7, False, (rank, processes)) for rank in range(processes)]
    seen = [index for order in orders for batch in order.batches(0) for index in batch.tolist()]
    assert sorted(seen) == list(range(images))
    assert all(len(order) == len(order.batches(0)) for order in orders)


def test_order_depends_on_seed_and_epoch_alone():
    order = EpochOrder(1000, 10, 3, True)
    first = order.indices(5)
    torch.manual_seed(99)
    assert torch.equal(first, EpochOrder(1000, 10, 3, True).indices(5))
    assert not torch.equal(first, order.indices(6))
    assert not torch.equal(first, EpochOrder(1000, 10, 4, True).indices(5))


def test_order_draws_nothing_from_the_global_generator():
    state = torch.get_rng_state()
    EpochOrder(10, 2, 0, True).indices(0)
    assert torch.equal(state, torch.get_rng_state())


def test_seeds_do_not_collide_for_neighbours():
    seeds = {derive_seed(seed, epoch, index) for seed in range(10) for epoch in range(10) for index in range(10)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(("processes", "parts"), [(1, 1), (2, 1), (4, 1), (2, 2)])
def test_repeats_of_an_image_are_in_one_batch_and_numbered(processes, parts):
    orders = [EpochOrder(50, 12, 3, True, (rank, processes), parts, repeats=3) for rank in range(processes)]
    alone = EpochOrder(50, 12, 3, True, repeats=3).batches(7)
    for step, whole in enumerate(alone):
        assert sorted(whole.bincount()[whole.bincount() > 0].tolist()) == [3, 3, 3, 3]
        shares = [share for order in orders for share in order.batches(7)[step * parts : (step + 1) * parts]]
        assert sorted(torch.cat(shares).tolist()) == sorted(whole.tolist())
    seen = [
        pair for order in orders for pair in zip(order.indices(7).tolist(), order.occurrences().tolist(), strict=True)
    ]
    assert len(set(seen)) == len(seen) == 48
    assert {occurrence for _, occurrence in seen} == {0, 1, 2}


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 8), st.integers(2, 4), st.sampled_from([(1, 1), (2, 1), (1, 2)]))
def test_repeats_of_an_image_are_not_mixed_with_each_other(distinct, repeats, shares):
    processes, parts = shares
    batch_size = distinct * repeats * processes * parts
    for rank in range(processes):
        order = EpochOrder(200, batch_size, 3, True, (rank, processes), parts, repeats)
        for batch in order.batches(1):
            assert all(batch[place] != batch[place - 1] for place in range(1, len(batch)))


def test_repeats_that_do_not_divide_the_batch():
    order = EpochOrder(50, 10, 3, True, repeats=3)
    batches = list(zip(order.batches(0), order.occurrences().split(10), strict=True))
    for indices, occurrences in batches:
        assert sorted(indices.bincount()[indices.bincount() > 0].tolist()) == [2, 2, 3, 3]
        assert len(set(zip(indices.tolist(), occurrences.tolist(), strict=True))) == 10
    assert len(torch.cat([indices.unique() for indices, _ in batches]).unique()) == 20


def test_a_single_batch_of_repeats():
    order = EpochOrder(5, 8, 3, True, repeats=2)
    assert sorted(order.indices(0).bincount().tolist())[-3:] == [1, 2, 2]


def test_too_few_images_for_the_processes():
    with pytest.raises(DataError, match="2 training images are too few for 3 processes"):
        EpochOrder(2, 3, 0, True, (0, 3))


def test_a_batch_that_cannot_be_divided():
    with pytest.raises(DataError, match=r"10 images cannot be divided among 2 processes with 4 parts .* multiple of 8"):
        EpochOrder(100, 10, 0, True, (0, 2), 4)


@pytest.mark.parametrize("share", [(1, 1), (-1, 2), (0, 0)])
def test_impossible_share(share):
    with pytest.raises(DataError, match="0 <= rank < processes"):
        EpochOrder(2, 1, 0, True, share)


def shuffled(epoch: int, share=(0, 1), size: int = 3):
    numbers = np.repeat(np.arange(10, 21), np.arange(1, 12))  # 66 images in 11 shards
    blocks = Blocks(numbers, size, print)
    return numbers, EpochOrder(66, 6, 3, True, share, blocks=blocks).indices(epoch)


def test_blocks_are_gone_through_one_after_the_other():
    numbers, order = shuffled(2)
    assert sorted(order.tolist()) == list(range(66))
    shards = numbers[order]
    met = list(dict.fromkeys(shards.tolist()))
    for first in range(0, 11, 3):
        block = met[first : first + 3]
        places = np.flatnonzero(np.isin(shards, block))
        assert np.array_equal(places, np.arange(places[0], places[0] + len(places)))
    assert not np.array_equal(shards, np.sort(shards))
    assert len(np.flatnonzero(np.diff(shards))) > 20  # the images of a block are mixed


def test_block_order_depends_on_seed_and_epoch_alone_and_processes_share_it():
    _, order = shuffled(2)
    torch.manual_seed(99)
    assert torch.equal(order, shuffled(2)[1])
    assert not torch.equal(order, shuffled(3)[1])
    for rank in range(3):
        assert torch.equal(order[rank::3], shuffled(2, (rank, 3))[1])
    numbers, whole = shuffled(2, size=11)
    assert len(np.flatnonzero(np.diff(numbers[whole]))) > 40  # one block is a shuffle of everything
