"""Answers in words: classes, probabilities, and how long it took."""

from __future__ import annotations

from math import isinf
from typing import Any

import numpy as np
from starlette.requests import Request

from ddnn_runtime.serving.answer import Answer
from ddnn_runtime.serving.wishes import Wish


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of each row, float64 of shape (images, classes)."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def noted(request: Request, answer: Answer, wish: Wish) -> dict[str, Any]:
    """By which net and in which time an answer came about; the access log says it, too."""
    subnet = "cascade" if wish.cascade else answer.subnets[0]
    request.scope["said"] |= {"id": answer.number, "subnet": subnet, "batch": answer.batch}
    return {
        "id": answer.number,
        "subnet": subnet,
        "waited_ms": 1e3 * answer.waited,
        "ran_ms": 1e3 * answer.ran,
        "batch": answer.batch,
        "slack_ms": None if isinf(answer.slack) else 1e3 * answer.slack,
    }


def predictions(answer: Answer, top: int, names: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """Of each image the most probable classes, as many as asked for."""
    best = (-answer.logits).argsort(axis=1, kind="stable")[:, :top]
    shares = probabilities(answer.logits).tolist()
    tops = [
        [{"class": k, "label": names[k] if names else None, "probability": row[k]} for k in order]
        for row, order in zip(shares, best.tolist(), strict=True)
    ]
    return [{**first[0], "subnet": subnet, "top": first} for first, subnet in zip(tops, answer.subnets, strict=True)]
