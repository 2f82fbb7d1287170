"""One net a step, drawn at random: how once-for-all networks are trained."""

from dataclasses import dataclass
from typing import ClassVar

from ddnn.objectives.joint import Joint
from ddnn.objectives.objective import Draw


@dataclass(frozen=True)
class Sampled(Joint):
    """CE(y, z_n) of one net n, drawn uniformly anew in each step.

    As in the depth stage of progressive shrinking (Cai et al., Once-for-all, arXiv 1908.09791, section 3.3). Left out:
    the stages that shrink kernels and widths, and the pre-trained teacher.
    """

    draw: ClassVar[Draw] = "one"
