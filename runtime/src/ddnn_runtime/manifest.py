"""What an export consists of, as `export.json` says it, so that a consumer needs nothing else.

Read on devices too, so nothing here imports torch. Every file is named with its checksum: an export that was copied
in part, edited, or put together from two is refused when it is opened.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from ddnn_runtime.cascade_spec import CascadeSpec
from ddnn_runtime.data_spec import DataSpec, of_any_version
from ddnn_runtime.documents import Count, Fraction, Name, Natural, Side, Text, read_document, refusing_damage
from ddnn_runtime.errors import ModelFileError
from ddnn_runtime.schema import typed
from ddnn_runtime.sealed_json import sealed
from ddnn_runtime.untrusted import MOST_ENTRIES, UnfitValueError

MANIFEST = "export.json"
WEIGHTS = "weights.bin"
FORMAT = 1
INPUT, OUTPUT = "images", "logits"

_PART = "[A-Za-z0-9_][A-Za-z0-9._-]{0,250}"
_Inside = Annotated[str, Meta(pattern=rf"\A{_PART}(/{_PART}){{0,9}}\Z", description="a path inside the export")]
_Values = Annotated[tuple[Text, ...], Meta(min_length=1, max_length=1000)]


@dataclass(frozen=True)
class File:
    """A file of an export.

    Args:
        file: its path, relative to the export.
        bytes: its size.
        sha256: its checksum, in hexadecimal.
    """

    file: _Inside
    bytes: Natural
    sha256: Text

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
    depth: Annotated[tuple[Natural, ...], Meta(min_length=1, max_length=100)]
    parameters: Natural
    macs: Natural
    accuracy: Fraction | None = None


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
    source: Natural | None
    inputs: _Values
    outputs: _Values
    nets: Annotated[tuple[Name, ...], Meta(min_length=1)]
    leaf: Name | None
    macs: Natural


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
        weights: the one file that all graphs point into; None where they hold their weights themselves.
        sharing_pays: whether weights that stay as they are in the file save much memory for little time.
        pieces: graphs for cascades; none where nets have nothing in common, or it was not asked for.
        cascade: the calibrated cascade of the run, as it was stored there.
        made_with: versions of what wrote it.
    """

    full: Name
    nets: Annotated[Mapping[Name, Net], Meta(min_length=1)]
    num_classes: Count
    input_shape: tuple[Side, Side, Side]
    data: DataSpec | None = None
    kind: Literal["onnx", "torch"] = "onnx"
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    opset: Natural | None = None
    weights: File | None = None
    sharing_pays: bool = False
    pieces: Annotated[tuple[Piece, ...], Meta(max_length=MOST_ENTRIES)] = ()
    cascade: CascadeSpec | None = None
    made_with: Mapping[Text, Text] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All nets, shallow to deep; the full net is the last."""
        return tuple(self.nets)

    @property
    def files(self) -> tuple[File, ...]:
        """All files but the manifest itself."""
        graphs = (*(net.graph for net in self.nets.values()), *(piece.graph for piece in self.pieces))
        return graphs if self.weights is None else (self.weights, *graphs)

    @property
    def checksum(self) -> str:
        """Of the weights: other nets have another."""
        if self.weights is not None:
            return self.weights.sha256
        return hashlib.sha256("".join(file.sha256 for file in self.files).encode()).hexdigest()

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
        manifest = cls.described(directory)
        for file in manifest.files:
            _check(Path(directory), file)
        return manifest

    @classmethod
    def described(cls, directory: str | Path) -> "Manifest":
        """What the manifest in `directory` says; the files that it names are not looked at.

        Raises:
            ModelFileError: if there is none, or it is damaged.
        """
        path = Path(directory) / MANIFEST
        if not path.is_file():
            raise ModelFileError(
                f"{path.parent} holds no export: {MANIFEST} is missing; make one with `ddnn export RUN --output DIR`"
            )
        again = "export the run again"
        values = read_document(path, dict[str, Any], sealed=True, header={"format": FORMAT}, fix=again)
        with refusing_damage(str(path), again):
            cascade = values.pop("cascade", None)  # which has a format of its own
            manifest: Manifest = typed(of_any_version(values), cls)
            manifest._check_fit()
            return (
                manifest
                if cascade is None
                else replace(manifest, cascade=CascadeSpec.from_json(cascade, manifest.names))
            )

    def _check_fit(self) -> None:
        """Refuse what fits value by value, and not together."""
        if self.names[-1] != self.full:
            raise UnfitValueError("the full net is not the last of its nets")
        data = self.data
        if data is not None and (data.input_shape, data.num_classes) != (self.input_shape, self.num_classes):
            raise UnfitValueError("its data has other classes, or images of another shape, than its nets")
        for index, piece in enumerate(self.pieces):
            _check_piece(piece, self.pieces[:index], self.names)
        ends = [piece.leaf for piece in self.pieces if piece.leaf is not None and len(piece.outputs) == 1]
        if self.pieces and sorted(ends) != sorted(self.names):
            raise UnfitValueError("its pieces do not end in the logits of each net")


def is_export(directory: str | Path) -> bool:
    """Whether this is the directory of an export."""
    return (Path(directory) / MANIFEST).is_file()


def _check_piece(piece: Piece, before: Sequence[Piece], names: Sequence[str]) -> None:
    """Refuse a piece that cannot run once those before it have: none comes after itself."""
    if piece.source is not None and piece.source >= len(before):
        raise UnfitValueError(f"the source of a piece must be the number of one before it, not {piece.source}")
    known_values = {INPUT, *(output for earlier in _path(piece, before) for output in earlier.outputs)}
    if not set(piece.inputs) <= known_values:
        raise UnfitValueError(f"the piece {piece.graph.file} takes what no piece before it gives")
    if not {*piece.nets, *([] if piece.leaf is None else [piece.leaf])} <= {*names}:
        raise UnfitValueError(f"the piece {piece.graph.file} is of nets that are not there")


def _path(piece: Piece, pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The pieces that have to run before one."""
    while piece.source is not None:
        piece = pieces[piece.source]
        yield piece


def path_inside(directory: Path, name: str) -> Path:
    """The path of a file of an export.

    Raises:
        ModelFileError: it is a link to somewhere else.
    """
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise ModelFileError(f"{path} is a link out of the export: refused; copy the file itself there")
    return path


def _check(directory: Path, file: File) -> None:
    path = path_inside(directory, file.file)
    if not path.is_file():
        raise ModelFileError(f"{path} is missing: the export is not complete; copy it again, or export the run again")
    if path.stat().st_size != file.bytes or File.of(directory, file.file) != file:
        raise ModelFileError(
            f"{path} is damaged: it is not the file that {MANIFEST} describes (size or checksum differ); copy the "
            "export again, or export the run again"
        )
