"""What an export consists of, as `export.json` says it, so that a consumer needs nothing else.

Read on devices too, so nothing here imports torch. Every file is named with its checksum: an export that was copied
in part, edited, or put together from two is refused when it is opened.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

from ddnn_runtime.cascade_spec import CascadeSpec
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.errors import ModelFileError
from ddnn_runtime.geometry import LARGEST_SIDE
from ddnn_runtime.sealed_json import sealed, unsealed
from ddnn_runtime.untrusted import UnfitValueError, chosen, count, flag, known, listed, mapping, name, number, text

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
            if values.get("format", FORMAT) != FORMAT:
                raise ModelFileError(f"{path} is of another version of ddnn; this one reads format {FORMAT}")
            return _from_json(values)
        except (ValueError, OSError) as error:
            if isinstance(error, ModelFileError) and not isinstance(error, UnfitValueError):
                raise
            raise ModelFileError(f"{path} is damaged ({error}); export the run again") from None


def is_export(directory: str | Path) -> bool:
    """Whether this is the directory of an export."""
    return (Path(directory) / MANIFEST).is_file()


def _from_json(values: dict[str, Any]) -> Manifest:
    keys = tuple(item.name for item in fields(Manifest))
    known(values, MANIFEST, ("format", *keys))
    nets = {
        name(key, "the name of a net"): _net(net) for key, net in mapping(values["nets"], "nets").items()
    }  # in their order
    if not nets or [*nets][-1] != values["full"]:
        raise UnfitValueError("the full net is not the last of its nets")
    data, weights, cascade, opset = (values[key] for key in ("data", "weights", "cascade", "opset"))
    manifest = Manifest(
        full=[*nets][-1],
        nets=nets,
        num_classes=count(values["num_classes"], "num_classes", 1),
        input_shape=cast(tuple[int, int, int], listed(values["input_shape"], "input_shape", _side, 3, 3)),
        data=None if data is None else DataSpec.from_json(mapping(data, "data")),
        kind=cast(Any, chosen(values["kind"], "kind", ("onnx", "torch"))),
        precision=cast(Any, chosen(values["precision"], "precision", ("fp32", "int8"))),
        opset=None if opset is None else count(opset, "opset"),
        weights=None if weights is None else _file(weights),
        sharing_pays=flag(values["sharing_pays"], "sharing_pays"),
        pieces=_pieces(values["pieces"], nets),
        cascade=None if cascade is None else CascadeSpec.from_json(cascade, tuple(nets)),
        made_with={text(key, "made_with"): text(item, "made_with")
                   for key, item in mapping(values["made_with"], "made_with").items()},
    )  # fmt: skip
    if manifest.data is not None and (manifest.data.input_shape, manifest.data.num_classes) != (
        manifest.input_shape,
        manifest.num_classes,
    ):
        raise UnfitValueError("its data has other classes, or images of another shape, than its nets")
    return manifest


def _side(value: Any, what: str) -> int:
    return count(value, what, 1, LARGEST_SIDE)


def _file(value: Any) -> File:
    values = mapping(value, "a file")
    known(values, "a file", ("file", "bytes", "sha256"))
    return File(
        _inside(text(values["file"], "file")), count(values["bytes"], "bytes"), text(values["sha256"], "sha256")
    )


def _inside(path: str) -> str:
    parts = path.split("/")
    if len(parts) > 10 or not all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,250}", part) for part in parts):
        raise ModelFileError(f"{MANIFEST} names the file {path[:100]!r}, which is not inside the export: refused")
    return path


def _net(value: Any) -> Net:
    values = mapping(value, "a net")
    known(values, "a net", ("graph", "depth", "parameters", "macs", "accuracy"))
    accuracy = values["accuracy"]
    return Net(
        graph=_file(values["graph"]),
        depth=listed(values["depth"], "depth", count, 1, 100),
        parameters=count(values["parameters"], "parameters"),
        macs=count(values["macs"], "macs"),
        accuracy=None if accuracy is None else number(accuracy, "accuracy", 0, 1),
    )


def _pieces(value: Any, nets: Mapping[str, Net]) -> tuple[Piece, ...]:
    """The pieces, each of which can run once those before it have: none comes after itself."""
    pieces: list[Piece] = []
    for item in listed(value, "pieces", mapping):
        piece = _piece(item, len(pieces))
        known_values = {INPUT, *(output for before in _path(piece, pieces) for output in before.outputs)}
        if not set(piece.inputs) <= known_values:
            raise UnfitValueError(f"the piece {piece.graph.file} takes what no piece before it gives")
        if not {*piece.nets, *([] if piece.leaf is None else [piece.leaf])} <= nets.keys():
            raise UnfitValueError(f"the piece {piece.graph.file} is of nets that are not there")
        pieces.append(piece)
    ends = [piece.leaf for piece in pieces if piece.leaf is not None and len(piece.outputs) == 1]
    if pieces and sorted(ends) != sorted(nets):
        raise UnfitValueError("its pieces do not end in the logits of each net")
    return tuple(pieces)


def _path(piece: Piece, pieces: list[Piece]) -> Iterator[Piece]:
    """The pieces that have to run before one."""
    while piece.source is not None:
        piece = pieces[piece.source]
        yield piece


def _piece(values: dict[str, Any], index: int) -> Piece:
    known(values, "a piece", ("graph", "source", "inputs", "outputs", "nets", "leaf", "macs"))
    source, leaf = values["source"], values["leaf"]
    return Piece(
        graph=_file(values["graph"]),
        source=None if source is None else count(source, "the source of a piece", 0, index - 1),
        inputs=listed(values["inputs"], "the inputs of a piece", text, 1, 1000),
        outputs=listed(values["outputs"], "the outputs of a piece", text, 1, 1000),
        nets=listed(values["nets"], "the nets of a piece", name, 1),
        leaf=None if leaf is None else name(leaf, "the leaf of a piece"),
        macs=count(values["macs"], "macs"),
    )


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
