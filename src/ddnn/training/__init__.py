"""From a configuration to a trained network: `train` is the one function that runs it.

`setup` opens what a run needs, `module` and `step` say what happens in an epoch and in a step, `draw`, `lessons` and
`views` which nets take part and on which images, `checkpoints` when a run is saved, and `launching` starts processes.
"""

from ddnn.training.module import NonFiniteLossError
from ddnn.training.run import Run
from ddnn.training.train import train

__all__ = ["NonFiniteLossError", "Run", "train"]
