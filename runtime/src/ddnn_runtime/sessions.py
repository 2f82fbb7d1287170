"""onnxruntime's sessions for the graphs of an export, opened when they are first used.

Each graph is a session, because onnxruntime runs a whole graph even where one of its outputs is asked for. By default
a session makes its own copy of the weights in an order that suits the processor, with batch normalisation folded in.
Where memory counts for more, sessions can be told to leave the weights as they are in the file: then they stay in the
file's pages, which all sessions, and all processes, have in common (docs/deployment.md has figures).
"""

import threading
from pathlib import Path
from typing import Any

from ddnn_runtime.errors import ModelFileError
from ddnn_runtime.interfaces import interfaces
from ddnn_runtime.manifest import Manifest

_COPYING = ("ConvBNFusion", "ConvMulFusion", "ConvAddFusion", "NchwcTransformer")
"""Optimizers of onnxruntime that replace weights by others: fused with what follows, or in another order."""


def open_session(graph: str | bytes, threads: int | None, share_weights: bool = False) -> Any:
    """A session on the CPU, an `onnxruntime.InferenceSession`.

    Args:
        graph: its file, or what such a file holds.
        threads: for one call; None means as many as there are cores.
        share_weights: leave the weights in the file's pages.
    """
    import onnxruntime  # takes longer to load than all else here

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; warnings are for those who write graphs
    # Each session has threads of its own, which would go on to wait for work while another session has it.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    if share_weights:
        options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(
        graph,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(_COPYING) if share_weights else [],
    )


class Sessions:
    """Opens sessions on demand, each once, from any thread.

    Args:
        directory: of the export.
        threads: for one call; None means as many as there are cores.
        share_weights: leave the weights in the file's pages.
        manifest: what the graphs must be, where they may have come from anybody.
    """

    def __init__(
        self, directory: Path, threads: int | None, share_weights: bool, manifest: Manifest | None = None
    ) -> None:
        self._interfaces = {} if manifest is None else interfaces(manifest)
        self._directory, self._threads, self._share_weights = directory, threads, share_weights
        self._open: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __getitem__(self, file: str) -> Any:
        """The session of a graph, an `onnxruntime.InferenceSession`.

        Raises:
            ModelFileError: if onnxruntime cannot open it, or it is another graph than the manifest says.
        """
        session = self._open.get(file)
        if session is None:
            with self._lock:  # another thread may open it meanwhile
                session = self._open.get(file)
                if session is None:
                    session = self._open[file] = self._opened(file)
        return session

    @property
    def loaded(self) -> tuple[str, ...]:
        """The graphs that are open."""
        return tuple(self._open)

    def _opened(self, file: str) -> Any:
        try:
            session = open_session(str(self._directory / file), self._threads, self._share_weights)
        except Exception as error:  # onnxruntime's own classes, which it does not export
            reason = " ".join(str(error).split())
            raise ModelFileError(f"{self._directory / file} cannot be opened by onnxruntime: {reason}") from None
        if file in self._interfaces:
            self._interfaces[file].check(session, self._directory / file)
        return session
