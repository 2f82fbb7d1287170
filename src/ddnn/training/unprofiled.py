"""Lightning's profiler that profiles nothing, without what that costs.

Lightning asks its profiler some thirty times a step for a context to run a hook in. The one that it has where nobody
wants a profile makes a generator each time, which for small nets is a notable part of a step.
"""

from contextlib import AbstractContextManager, nullcontext

from lightning.pytorch.profilers import PassThroughProfiler

_NOTHING = nullcontext()


class Unprofiled(PassThroughProfiler):
    """Gives the same context, which does nothing, whatever is asked for.

    >>> with Unprofiled().profile("a hook"):
    ...     pass
    """

    def profile(  # pyright: ignore[reportIncompatibleMethodOverride]  # a context all the same
        self, action_name: str
    ) -> AbstractContextManager[None]:
        """See `lightning.pytorch.profilers.Profiler`."""
        del action_name
        return _NOTHING
