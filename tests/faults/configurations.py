"""Configurations that somebody might write: mostly sensible, with nonsense and slips of every kind among them."""

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import yaml
from hypothesis import strategies as st

from ddnn import TrainConfig

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 10**6, 10**18, -(10**18), 2**63, 2**200]),
    st.floats(),
    st.sampled_from(["", " ", "nan", "resnet8", "../..", "/", "~", "\x00", "{", "[", "a: b", "é", "💥", "1e3", "null"]),
    st.text(max_size=8),
    st.recursive(st.integers(-2, 3) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)
                 | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6),
)  # fmt: skip

SENSIBLE: dict[str, Any] = {
    "data": ["digits"],
    "image_size": [8, 12, None],
    "train_images": [20, 64, 300, None],
    "validation": [0, 0.1, 0.5],
    "batch_size": [1, 7, 16, 64, 10**9],
    "workers": [0, 1, None],
    "max_corrupt": [0, 3],
    "augment": [
        {},
        {"flip": True},
        {"crop": 1, "erase": 0.5},
        {"mixup": 0.2},
        {"cutmix": 1, "mixup": 1},
        {"repeats": 2},
        {"policy": "trivialaugment", "mixup": 0.5, "subnets": "weak"},
    ],
    "full": ["resnet8", "resnet14", "resnet20", "cifar_vgg11_bn"],
    "subnets": ["", "resnet8", ["resnet8"], {"tiny": [1, 1, 1]}, {"tiny": [2, 1, 1], "other": [1, 1, 2]}, []],
    "subnets_per_step": [None, 1],
    "model_options": [{}],
    "private_norms": [None, True, False, ["resnet8"], ["tiny"]],
    "objective": ["ekd", "joint", "inplace", "adn", "sampled", "cooperative"],
    "ekd": [
        {},
        {"alpha": 0.5, "teacher": "mean"},
        {"beta": 0.1, "attention_stages": 2},
        {"teacher": "average", "decay": 0},
        {"teacher": "average", "memory": 0.5, "teach_full": False},
        {"teacher": "next", "divergence": "alpha"},
    ],
    "zero_init": [False, True],
    "fork_gradients": ["sum", "mean"],
    "alternate": [False, True],
    "subnets_from": [0, 0.5],
    "subnets_ramp": [0, 0.3],
    "loss_weights": [None, {"resnet8": 0.5}, "sum"],
    "subnet_sizes": [None, [6], [6, 4]],
    "subnet_size_share": [0.5, 1],
    "full_dropout": [0, 0.2],
    "label_smoothing_on": ["all", "full"],
    "optimizer": ["sgd", "adamw"],
    "lr": [None, 0.01],
    "momentum": [0, 0.9],
    "weight_decay": [0, 1e-4],
    "schedule": ["cosine", "step"],
    "milestones": [[], [0.5]],
    "gamma": [0.1],
    "warmup_epochs": [0, 3],
    "label_smoothing": [0, 0.1],
    "clip": [None, 1.0],
    "seed": [0, 2**32 - 1],
    "ema": [None, 0.9],
    "checkpoint_epochs": [1, 3],
    "checkpoint_minutes": [10, 0.001],
    "checkpoint_steps": [None, 1],
    "keep_checkpoints": [1, 3],
    "device": ["auto", "cpu"],
    "precision": ["32-true", "bf16-mixed"],
    "channels_last": [True, False],
    "activation_checkpointing": [True, False],
    "devices": [None, 1],
    "strategy": ["ddp", "fsdp"],
    "sync_norm": [True, False],
    "accumulate": [1, 2],
}
"""Values that make sense by themselves; together they may not. What is not here gets nonsense only: it takes long."""


SLIPS = "{}[]:,&*!|>'\"%@`#-?<= \n\t\x00\x07é💥\ud800"
"""Characters that mean something in YAML, and some that may not be there; no digits, which could make a run long."""


def texts() -> st.SearchStrategy[str]:
    """YAML files, a third of them with slips of the keyboard."""
    written = configurations().map(_written)
    slips = st.lists(st.tuples(st.integers(0, 400), st.text(SLIPS, max_size=3), st.integers(0, 3)), max_size=3)
    return st.one_of(written, written, st.builds(_slipped, written, slips))


def _written(document: Any) -> str:
    """As YAML, or, where PyYAML refuses to write it, as Python would show it."""
    try:
        return yaml.safe_dump(document, allow_unicode=True)
    except yaml.YAMLError:
        return repr(document)


def _slipped(text: str, slips: list[tuple[int, str, int]]) -> str:
    for place, instead, count in slips:
        place %= len(text) + 1
        text = text[:place] + instead + text[place + count :]
    return text


def configurations() -> st.SearchStrategy[Any]:
    """What may stand in a YAML file: mappings with a few keys set, and other things."""
    keys = [field.name for field in fields(TrainConfig)]
    hints = get_type_hints(TrainConfig)
    nested = {key: [field.name for field in fields(hints[key])] for key in keys if is_dataclass(hints[key])}
    sensible = [st.tuples(st.just(key), st.sampled_from(values)) for key, values in SENSIBLE.items()]
    wrong = [st.tuples(st.just(key), _nonsense(nested.get(key))) for key in keys]
    unknown = st.tuples(st.text(max_size=6), JUNK)
    right = st.lists(st.one_of(sensible), max_size=6)
    spoilt = st.tuples(right, st.one_of(*wrong, unknown)).map(lambda both: [*both[0], both[1]])
    return st.one_of(right.map(dict), right.map(dict), spoilt.map(dict), spoilt.map(dict), JUNK)


def _nonsense(inner: list[str] | None) -> st.SearchStrategy[Any]:
    return st.one_of(JUNK, st.dictionaries(st.sampled_from(inner), JUNK, max_size=2)) if inner else JUNK
