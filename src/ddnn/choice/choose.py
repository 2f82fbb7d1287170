"""Choose a net: the one function that decides, among the nets that were trained or among all depths."""

import os
from typing import Any

from ddnn.choice.decision import Decision
from ddnn.choice.trained import choose_trained
from ddnn.config import ChooseConfig, configured
from ddnn.formats.arguments import path_of


def choose(
    run: str | os.PathLike[str], config: ChooseConfig | None = None, *, progress: bool = True, **keys: Any
) -> Decision:
    """The best net of a run that keeps to the bounds.

    Args:
        run: a run directory, a saved network, or an export; or what `ddnn.train` returns.
        config: the bounds, and where the figures come from.
        progress: show on standard error what is measured.
        keys: fields of `ddnn.ChooseConfig`, in place of the configuration's: `latency_ms` in milliseconds, `accuracy`
            in (0, 1], `memory_mb` in MB, and so on.

    Returns:
        The decision; with `any_depth` it says what was found of the depths, too.

    Raises:
        DDNNError: if there is no bound, no net fits (the message names the nearest), the accuracies are not known, or
            the profile is damaged, is about other nets, or leaves open which of its conditions is meant; and with
            `any_depth` if optuna is not installed, or the run is an export.

    Example:
        ```python
        decision = ddnn.choose("runs/digits", latency_ms=20, on="profile.json")
        decision.choice.chosen.name, decision.choice.left["latency_ms"]
        ```
    """
    path, config = path_of(run, "run"), configured(ChooseConfig, config, keys)
    if not config.any_depth:
        return choose_trained(path, config, progress)
    from ddnn.choice.any_depth import choose_any_depth  # which an export on a device without torch does not need

    return choose_any_depth(path, config, progress)
