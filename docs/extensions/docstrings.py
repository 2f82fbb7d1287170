"""Docstrings have examples in Markdown's fences, which editors show as code; Sphinx wants a directive."""

from typing import Any


def fences(*arguments: Any) -> None:
    """Turn fenced blocks of a docstring, the last argument, into code blocks, in place."""
    lines: list[str] = arguments[-1]
    found, inside = [], False
    for line in lines:
        bare = line.strip()
        if bare.startswith("```"):
            inside = not inside
            margin = line[: len(line) - len(line.lstrip())]
            found += [f"{margin}.. code-block:: {bare[3:] or 'text'}", ""] if inside else [""]
        else:
            found.append(f"    {line}" if inside and bare else line)
    lines[:] = found


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx; before napoleon, which reads sections."""
    app.connect("autodoc-process-docstring", fences, priority=100)
    return {"parallel_read_safe": True}
