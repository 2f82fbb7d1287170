"""Which net to run on a device: the best that meets the bounds, of those that were trained or of all depths.

`best` decides, and is pure; `pick` reads what a profile says; `trained` puts them together. The depths in between:
`space` says which there are, `images` on what they are calibrated and scored, `depths` tries one, `search` goes through
them, `explored` is what was found, and `any_depth` puts that together. `choose` is the one function for both.
"""

from ddnn.choice.best import Bounds, Candidate, Choice, choose_from, front
from ddnn.choice.choose import choose
from ddnn.choice.decision import Decision

__all__ = ["Bounds", "Candidate", "Choice", "Decision", "choose", "choose_from", "front"]
