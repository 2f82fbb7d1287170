"""Several processes on this machine, one a device, by PyTorch's own launcher: `ddnn train --devices 8` is torchrun.

The launcher watches them: when one ends badly, it ends the others, and what that one said is the message.
"""

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ddnn.config import TrainConfig
from ddnn.distributed.processes import find_processes
from ddnn.errors import DDNNError
from ddnn.runs.run_directory import RunDirectory

SECONDS_TO_SAVE = 120
"""How long processes have to end by themselves, with a checkpoint, once the launcher was told to end."""


class ProcessFailedError(DDNNError):
    """A process of a run has ended without a word, such as one that was killed."""


def processes_to_start(config: TrainConfig) -> int:
    """How many processes a run needs that are not there yet; 1 where this one is enough, or is one of them.

    A run that goes on has as many as it had, unless `config` says otherwise.
    """
    if find_processes().count > 1:
        return 1
    if config.devices is None and config.resume is not None:
        config = RunDirectory(Path(config.resume)).read_config()
    return config.devices or 1


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run `ddnn ARGUMENTS` in so many processes, and wait for them.

    Args:
        arguments: of the command line, as each process is to have them.
        processes: how many.

    Returns:
        The exit status: 0 if all is well; where a process has said what went wrong, its own; after a signal such as
        Ctrl-C, 128 and the signal's number.

    Raises:
        ProcessFailedError: one was killed.
    """
    logging.disable(logging.ERROR)  # the launcher's own reports; what the processes say is enough
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        **_shutdown(),
    )
    try:
        elastic_launch(config, sys.executable)("-m", "ddnn", *arguments)
    except SignalException as error:
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode
        name = signal.Signals(-failure.exitcode).name
        raise ProcessFailedError(
            f"process {rank} of {processes} was ended by {name}, and the others with it; go on from the run's last "
            "checkpoint with --resume"
        ) from None
    return 0


def _shutdown() -> dict[str, Any]:
    """Time to save, where torch lets it be set."""
    return {"shutdown_timeout": SECONDS_TO_SAVE} if "shutdown_timeout" in LaunchConfig.__annotations__ else {}
