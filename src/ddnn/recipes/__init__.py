"""Named experiments as YAML files; `ddnn train --config NAME` runs one."""

from pathlib import Path

from ddnn.errors import DDNNError, near


def recipe_names() -> list[str]:
    """All shipped recipes."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def recipe_file(name: str) -> Path:
    """The file of a configuration: the path of one's own, or the name of a shipped recipe.

    Raises:
        DDNNError: if there is neither; the message names the near matches.
    """
    if Path(name).is_file():
        return Path(name)
    if name in recipe_names():
        return Path(__file__).with_name(f"{name}.yaml")
    raise DDNNError(f"no configuration file and no recipe {name!r}; {near(name, recipe_names())}")
