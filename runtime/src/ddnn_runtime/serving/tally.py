"""What a server has done since it was started, counted for people and for Prometheus."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ddnn_runtime.serving.answer import Batch

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, inf)
_SLACK = (-1.0, -0.1, -0.01, 0.0, *_SECONDS[1:])
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, inf)


class Tally:
    """Counts answers, batches, misses and refusals.

    Args:
        queue: says how many images wait.
    """

    def __init__(self, queue: Callable[[], int]) -> None:
        self.began, self._queue = monotonic(), queue
        self.answered: Count[str] = Count()
        self.batches = self.misses = self.refused = 0
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        net = ["subnet"]
        self._images = Counter(
            "ddnn_images", "Images answered, by the net that gave the answer", net, registry=registry
        )
        self._batch = Histogram("ddnn_batch_images", "Images in a call", net, buckets=_IMAGES, registry=registry)
        self._waited = Histogram(
            "ddnn_waiting_seconds", "From a request's arrival until its call", buckets=_SECONDS, registry=registry
        )
        self._ran = Histogram("ddnn_running_seconds", "Of a call", net, buckets=_SECONDS, registry=registry)
        self._slack = Histogram(
            "ddnn_slack_seconds",
            "Left until the deadline when the answer was there, of requests that have one",
            buckets=_SLACK,
            registry=registry,
        )
        self._misses = Counter("ddnn_misses", "Requests answered after their deadline", registry=registry)
        self._responses = Counter("ddnn_responses", "Responses, by status", ["code"], registry=registry)
        self._reloads = Counter("ddnn_reloads", "Exports taken up, or not", ["outcome"], registry=registry)
        Gauge("ddnn_queue_images", "Images that wait", registry=registry).set_function(queue)

    def saw(self, batch: Batch) -> None:
        """A call has ended."""
        net, first = batch.decision.subnet or "cascade", batch.answers[0]
        self.batches += 1
        self._batch.labels(net).observe(first.batch)
        self._ran.labels(net).observe(first.ran)
        for answer in batch.answers:
            self.answered.update(answer.subnets)
            for subnet in answer.subnets:
                self._images.labels(subnet).inc()
            self._waited.observe(answer.waited)
            if answer.slack < inf:
                self._slack.observe(answer.slack)
            if answer.slack < 0:
                self.misses += 1
                self._misses.inc()

    def responded(self, code: int, health: bool) -> None:
        """A request has ended; one about health is never refused, it is told."""
        self.refused += code in (429, 503) and not health
        self._responses.labels(code).inc()

    def reloaded(self, taken: bool) -> None:
        """An export was taken up, or not."""
        self._reloads.labels("taken" if taken else "kept").inc()

    def to_json(self) -> dict[str, Any]:
        """For the live chart of the page."""
        return {
            "queue": self._queue(),
            "answered": dict(self.answered),
            "batches": self.batches,
            "misses": self.misses,
            "refused": self.refused,
            "uptime_s": monotonic() - self.began,
        }

    def to_prometheus(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)
