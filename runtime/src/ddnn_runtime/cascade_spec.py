"""What a cascade consists of, and where its thresholds came from; checked and stored without torch, for devices too.

RUN/cascade.json, which `ddnn cascade RUN` writes, is one `CascadeSpec`:

    {
      "format": 1,
      "thresholds": {"resnet8": 0.93, "resnet14": 0.81},   how sure a net must be for its answer to be taken
      "last": "resnet20",                                  answers what is left
      "target": {"accuracy": 0.95},                        or {"macs": 2e7}, {"latency_ms": 1.5}: what was asked for
      "calibrated_on": {"data": "digits", "split": "validation", "images": 144},
      "expected": {"accuracy": 0.951, "cost": 2.1e7, "unit": "macs", "answered": {"resnet8": 0.7, ...}},
      "weights": "9f86d08…",                               checksum of the weights that it is for
      "boost": 0.5                                         only if a net adds a share of the logits before it
    }
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from ddnn_runtime.documents import Finite, Fraction, Natural, Text
from ddnn_runtime.errors import DDNNError, ModelFileError, near
from ddnn_runtime.schema import LARGEST, typed
from ddnn_runtime.sealed_json import parse_json
from ddnn_runtime.untrusted import UnfitValueError, shown

FILE = "cascade.json"
FORMAT = 1
_Probability = Annotated[float, Meta(ge=0, le=1, description="a probability in [0, 1]")]


def participants(names: Sequence[str], thresholds: Mapping[str, float], last: str | None = None) -> tuple[str, ...]:
    """The nets of a cascade, in the order in which they are asked.

    Args:
        names: all nets that there are, shallow to deep.
        thresholds: for each net that is asked before `last`, how sure it must be, in [0, 1]; a net that is left out
            is not asked. Without any, `last` must be given, and answers all images.
        last: the net that answers what is left; None means the deepest.

    Raises:
        DDNNError: for an unknown net, one that has a threshold and is not before `last`, a threshold outside [0, 1],
            or no threshold and no `last`.

    >>> participants(["resnet8", "resnet14", "resnet20"], {"resnet14": 0.9})
    ('resnet14', 'resnet20')
    """
    end = names[-1] if last is None else last
    if end not in names:
        raise DDNNError(f"there is no net {end!r} that could come last; {near(str(end), names)}")
    before = names[: names.index(end)]
    if not isinstance(thresholds, Mapping):
        raise DDNNError(f"thresholds must be a mapping from nets to confidences, such as {{{names[0]!r}: 0.9}}")
    if not thresholds and last is None:
        raise DDNNError(
            f"a cascade needs a threshold for at least one net before {end}; choose from {', '.join(before) or 'none'}"
        )
    for name, threshold in thresholds.items():
        if name not in names:
            raise DDNNError(f"there is no net {name!r} that could have a threshold; {near(str(name), names)}")
        if name not in before:
            raise DDNNError(
                f"{name} cannot have a threshold in a cascade that ends with {end}, which answers what is left; nets "
                f"that can: {', '.join(before) or 'none'}"
            )
        if not isinstance(threshold, int | float) or isinstance(threshold, bool) or not 0 <= threshold <= 1:
            raise DDNNError(
                f"the threshold of {name} must be a probability in [0, 1], not {threshold!r}; to ask it never, leave "
                "it out"
            )
    return (*(name for name in before if name in thresholds), end)


def check_boost(boost: float) -> float:
    """The share of the logits of the net asked before that a net adds to its own, checked.

    Raises:
        DDNNError: if it is no number in [0, 1].

    >>> check_boost(0.5)
    0.5
    """
    if not isinstance(boost, int | float) or isinstance(boost, bool) or not 0 <= boost <= 1:
        raise DDNNError(f"boost must be a share in [0, 1], not {boost!r}; with 0 each net answers by itself")
    return boost


@dataclass(frozen=True)
class Expected:
    """What a cascade did on the images that it was calibrated on.

    Args:
        accuracy: in [0, 1].
        cost: of an image, on average.
        unit: of the cost: multiply-accumulates, or measured milliseconds.
        answered: share of the images that each net answered.
    """

    accuracy: Fraction
    cost: Annotated[float, Meta(ge=0, le=LARGEST)]
    unit: Literal["macs", "ms"]
    answered: Mapping[Text, Finite]


@dataclass(frozen=True)
class CalibratedOn:
    """On which images.

    Args:
        data: the data set, as `--data` names it.
        split: the part of it; never the test images.
        images: how many.
    """

    data: Text
    split: Text
    images: Natural


@dataclass(frozen=True)
class CascadeSpec:
    """A cascade as it is stored with a run; the module's text shows the file.

    Args:
        thresholds: for each net before the last, shallow to deep, how sure it must be.
        last: the net that answers what is left.
        target: what was asked for: one of accuracy, macs and latency_ms, and its value.
        calibrated_on: on which images the thresholds were chosen.
        expected: what the cascade did there.
        weights: checksum of the network's weights; thresholds suit no others. None if it is not known.
        boost: share of the logits of the net asked before that each net adds to its own; thresholds suit no other.
    """

    thresholds: Mapping[str, _Probability]
    last: Text
    target: Mapping[Text, Finite]
    calibrated_on: CalibratedOn
    expected: Expected
    weights: Text | None = None
    boost: Fraction = 0.0

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `from_json` reads; without a share, as versions before it wrote and read."""
        return {"format": FORMAT, **{key: value for key, value in asdict(self).items() if key != "boost" or value}}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], names: Sequence[str]) -> "CascadeSpec":
        """Read what `to_json` wrote, for a network with nets of these names, shallow to deep.

        Raises:
            DDNNError: if it is of another format, for other nets, or damaged.
        """
        try:
            values = typed(fields, dict[str, Any], "it")
            if (given := values.pop("format", None)) != FORMAT:
                raise DDNNError(f"format {shown(given)} is not {FORMAT}, which this version of ddnn reads")
            found: CascadeSpec = typed(values, cls)
        except UnfitValueError as error:
            raise DDNNError(f"it is damaged: {error}") from None
        participants(names, found.thresholds, found.last)
        return found


def read_cascade(directory: str | Path, names: Sequence[str], weights: str | None = None) -> CascadeSpec | None:
    """The cascade that was calibrated for the network in a directory; None if there is none.

    Args:
        directory: a run, or a saved network.
        names: the network's nets, shallow to deep.
        weights: checksum of the network's weights, to be sure that the cascade is for them.

    Raises:
        ModelFileError: if the file is damaged, or for another network.
    """
    path = Path(directory) / FILE
    if not path.is_file():
        return None
    again = "calibrate again with `ddnn cascade`, or remove it"
    try:
        found = CascadeSpec.from_json(parse_json(path.read_text(encoding="utf-8")), names)
    except (ValueError, AttributeError) as error:
        reason = f"{error}" if isinstance(error, DDNNError) else f"it is damaged ({error!r})"
        raise ModelFileError(f"{path} cannot be used: {reason}; {again}") from None
    if None not in (weights, found.weights) and weights != found.weights:
        raise ModelFileError(f"{path} was calibrated for other weights than the network has now; {again}")
    return found
