"""How a cascade is calibrated, and measured."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ddnn.config.fields import check_distinct, listed
from ddnn.config.limits import PERCENT, Count, Natural, Positive, Seconds
from ddnn_runtime.configuration import check, check_types

_Accuracy = Annotated[
    float, Meta(gt=0, le=1, description="a share of the images in (0, 1], such as 0.93", extra=PERCENT)
]
_Boost = Annotated[float, Meta(ge=0, le=1, description="a share in [0, 1],")]
_Points = Annotated[int, Meta(ge=2)]


@dataclass(frozen=True)
class CascadeConfig:
    """What the cascade is to reach, on what it is calibrated, and how it is measured.

    At most one of accuracy, macs and latency_ms is given. Without any, the cheapest cascade is sought that is as
    accurate on the held-out images as the most accurate net.

    Args:
        accuracy: the cheapest cascade that is right about this share of the held-out images, in (0, 1].
        macs: the most accurate cascade that costs at most so many multiply-accumulates an image on average.
        latency_ms: the most accurate cascade that takes at most so many milliseconds an image on average, estimated
            from the measured times of its pieces.
        cost: what is to be cheap, where an accuracy is to be reached: macs, or ms, estimated likewise.
        boost: a net adds this share, in [0, 1], of the logits of the net asked before it to its own (boosted dynamic
            networks, `ddnn.network.cascade`). fit chooses the share on the held-out images, together with the
            thresholds; the report then shows the best cascade without it, too.
        nets: those that may take part, as a list or with commas between them; None means all.
        data: the data set, whose held-out images calibrate and whose test images evaluate: digits, cifar10, cifar100,
            folder:PATH, parquet:PATH or shards:PATH; None means what the run was trained on.
        data_root: where cifar10 and cifar100 are, or are downloaded to.
        export: an export of the run, to calibrate and measure with onnxruntime rather than PyTorch.
        batch_size: images in a batch whose time is measured.
        threads: threads of a call; None means as many as there are cores.
        points: how many other cascades to report, from the cheapest to the most accurate.
        seconds: how long times are measured.
        output: the folder for report.json and accuracy_over_cost.png; files of these names there are replaced. None
            means RUN/cascade.
        workers: processes that decode large images; None means one a core, at most 8.
        classes_from: which of the data's classes is which of the network's, where their names do not tell; as for
            ddnn evaluate.
        max_corrupt: leave out at most so many images of a split that cannot be decoded, and name each; 0 refuses the
            first. None means what the run was trained with, or 0 with other data.
        device: where to run; auto takes CUDA or MPS if there is one.
    """

    accuracy: _Accuracy | None = None
    macs: Positive | None = None
    latency_ms: Positive | None = None
    cost: Literal["macs", "ms"] = "macs"
    boost: _Boost | Literal["fit"] = 0.0
    nets: list[str] | str | None = None
    data: str | None = None
    data_root: str = "data"
    export: str | None = None
    batch_size: Count = 1
    threads: Count | None = None
    points: _Points = 8
    seconds: Seconds = 20.0
    output: str | None = None
    workers: Natural | None = None
    max_corrupt: Natural | None = None
    classes_from: str | dict[str, str | None] | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        check_types(self)
        given = self._targets
        check(len(given) <= 1, f"{' and '.join(given)} exclude each other: give one of them, or none")
        check(
            self.cost == "macs" or self.macs is None,
            "macs is a limit in multiply-accumulates, and cost asks for ms; leave one of the two out",
        )
        if self.nets is not None:
            check_distinct("nets", listed(self.nets), "give one or more, such as resnet8,resnet20")
        check(
            self.export is None or self.device in ("auto", "cpu"),
            f"an export runs on the CPU here, not on {self.device}; leave out --device",
        )

    @property
    def _targets(self) -> dict[str, float]:
        wanted = {"accuracy": self.accuracy, "macs": self.macs, "latency_ms": self.latency_ms}
        return {key: value for key, value in wanted.items() if value is not None}

    @property
    def target(self) -> dict[str, float] | None:
        """What is to be reached, by its name; None if nothing was given."""
        return self._targets or None

    @property
    def unit(self) -> Literal["macs", "ms"]:
        """What an image costs, for the choice of a cascade."""
        return "ms" if self.latency_ms is not None else "macs" if self.macs is not None else self.cost

    @property
    def net_list(self) -> list[str] | None:
        """The nets, in the order given."""
        return None if self.nets is None else listed(self.nets)
