import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn.data.order import EpochOrder, derive_seed
from ddnn.errors import DataError


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 100), st.integers(1, 40), st.integers(1, 4), st.integers(0, 9))
def test_training_shards_are_disjoint_and_equally_long(images, batch_size, processes, epoch):
    orders = [EpochOrder(images, batch_size, 7, True, (rank, processes)) for rank in range(processes)]
    seen = [index for order in orders for index in order.indices(epoch).tolist()]
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(range(images))
    shapes = [[len(batch) for batch in order.batches(epoch)] for order in orders]
    assert all(shape == shapes[0] for shape in shapes)
    assert len(shapes[0]) == len(orders[0]) >= 1
    own = images // processes
    assert shapes[0] == ([own] if own < batch_size else [batch_size] * (own // batch_size))


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


def test_too_few_images_for_the_processes():
    with pytest.raises(DataError, match="2 training images are too few for 3 processes"):
        EpochOrder(2, 1, 0, True, (0, 3))


@pytest.mark.parametrize("shard", [(1, 1), (-1, 2), (0, 0)])
def test_impossible_shard(shard):
    with pytest.raises(DataError, match="0 <= rank < processes"):
        EpochOrder(2, 1, 0, True, shard)
