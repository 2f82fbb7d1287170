"""What an export consists of, as `export.json` says it, so that a consumer needs nothing else.

Read on devices too, so nothing here imports torch. Every file is named with its checksum: an export that was copied
in part, edited, or put together from two is refused when it is opened.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ddnn.cascade_spec import CascadeSpec
from ddnn.data_spec import DataSpec
from ddnn.errors import ModelFileError
from ddnn.sealed_json import sealed, unsealed

MANIFEST = "export.json"
WEIGHTS = "weights.bin"
FORMAT = 1
INPUT, OUTPUT = "images", "logits"


@dataclass(frozen=True)
class File:
    """A file of an export.

    Args:
        file: its path, relative to the export.
        bytes: its size.
        sha256: its checksum, in hexadecimal.
    """

    file: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.file)
        if path.is_absolute() or ".." in path.parts or "\\" in self.file:
            raise ModelFileError(f"{MANIFEST} names the file {self.file!r}, which is not inside the export: refused")

    @classmethod
    def of(cls, directory: Path, name: str) -> "File":
        """The file of this name as it is now."""
        path = directory / name
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return cls(name, path.stat().st_size, digest)


@dataclass(frozen=True)
class Net:
    """One net of an export.

    Args:
        graph: its graph, or its program.
        depth: blocks per stage.
        parameters: numbers that were trained.
        macs: multiply-accumulates for one image.
        accuracy: on the test images of the run, in [0, 1]; None where it is not known.
    """

    graph: File
    depth: tuple[int, ...]
    parameters: int
    macs: int
    accuracy: float | None = None


@dataclass(frozen=True)
class Piece:
    """A graph between two places where nets part, for cascades.

    Args:
        graph: takes `inputs`, gives `outputs`.
        source: number of the piece that has to run before; None if that is none.
        inputs: names of what goes in: outputs of pieces before it, or the images.
        outputs: names of what comes out.
        nets: the nets that pass through, shallow to deep.
        leaf: the net whose logits come out, if any.
        macs: multiply-accumulates for one image.
    """

    graph: File
    source: int | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nets: tuple[str, ...]
    leaf: str | None
    macs: int


@dataclass(frozen=True)
class Manifest:
    """What is in an export.

    Args:
        full: name of the full net.
        nets: shallow to deep, the full net last.
        num_classes: outputs of each.
        input_shape: (channels, height, width) of one image.
        data: size, normalisation and class names; None if the network was saved without.
        kind: ONNX graphs that point into `weights`, or torch.export programs with weights of their own.
        precision: of the weights.
        opset: of the ONNX operators.
        weights: the one file that all graphs point into.
        sharing_pays: whether weights that stay as they are in the file save much memory for little time.
        pieces: graphs for cascades; none where nets have nothing in common, or it was not asked for.
        cascade: the calibrated cascade of the run, as it was stored there.
        made_with: versions of what wrote it.
    """

    full: str
    nets: Mapping[str, Net]
    num_classes: int
    input_shape: tuple[int, int, int]
    data: DataSpec | None = None
    kind: Literal["onnx", "torch"] = "onnx"
    precision: Literal["fp32", "int8"] = "fp32"
    opset: int | None = None
    weights: File | None = None
    sharing_pays: bool = False
    pieces: tuple[Piece, ...] = ()
    cascade: CascadeSpec | None = None
    made_with: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All nets, shallow to deep; the full net is the last."""
        return tuple(self.nets)

    @property
    def files(self) -> tuple[File, ...]:
        """All files but the manifest itself."""
        graphs = (*(net.graph for net in self.nets.values()), *(piece.graph for piece in self.pieces))
        return graphs if self.weights is None else (self.weights, *graphs)

    def to_json(self) -> str:
        """The text of `export.json`."""
        cascade = None if self.cascade is None else self.cascade.to_json()
        return sealed({"format": FORMAT, **asdict(self), "cascade": cascade})

    @classmethod
    def read(cls, directory: str | Path) -> "Manifest":
        """The manifest of the export in `directory`; every file that it names is there, and whole.

        Raises:
            ModelFileError: if there is none, or it is damaged, or a file is missing or is not the one that it names.
        """
        manifest = cls._parse(Path(directory) / MANIFEST)
        for file in manifest.files:
            _check(Path(directory), file)
        return manifest

    @classmethod
    def _parse(cls, path: Path) -> "Manifest":
        if not path.is_file():
            raise ModelFileError(
                f"{path.parent} holds no export: {MANIFEST} is missing; make one with `ddnn export RUN --output DIR`"
            )
        try:
            values = unsealed(path.read_text(encoding="utf-8"))
            if values.pop("format") != FORMAT:
                raise ModelFileError(f"{path} is of another version of ddnn; this one reads format {FORMAT}")
            return _from_json(values)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"{path} is damaged ({error!r}); export the run again") from None


def is_export(directory: str | Path) -> bool:
    """Whether this is the directory of an export."""
    return (Path(directory) / MANIFEST).is_file()


def _from_json(values: dict[str, Any]) -> Manifest:
    nets = {
        name: Net(**{**net, "graph": File(**net["graph"]), "depth": tuple(net["depth"])})
        for name, net in values.pop("nets").items()
    }
    pieces = tuple(_piece(piece) for piece in values.pop("pieces"))
    data, weights, shape = values.pop("data"), values.pop("weights"), values.pop("input_shape")
    cascade = values.pop("cascade")
    return Manifest(
        nets=nets,
        pieces=pieces,
        data=None if data is None else DataSpec.from_json(data),
        weights=None if weights is None else File(**weights),
        input_shape=tuple(shape),
        cascade=None if cascade is None else CascadeSpec.from_json(cascade, tuple(nets)),
        **values,
    )


def _piece(values: dict[str, Any]) -> Piece:
    lists = {name: tuple(values[name]) for name in ("inputs", "outputs", "nets")}
    return Piece(**{**values, **lists, "graph": File(**values["graph"])})


def _check(directory: Path, file: File) -> None:
    path = directory / file.file
    if not path.resolve().is_relative_to(directory.resolve()):
        raise ModelFileError(f"{path} is a link out of the export: refused; copy the file itself there")
    if not path.is_file():
        raise ModelFileError(f"{path} is missing: the export is not complete; copy it again, or export the run again")
    if path.stat().st_size != file.bytes or File.of(directory, file.file) != file:
        raise ModelFileError(
            f"{path} is damaged: it is not the file that {MANIFEST} describes (size or checksum differ); copy the "
            "export again, or export the run again"
        )
