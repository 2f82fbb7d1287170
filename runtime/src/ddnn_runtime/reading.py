"""How a picture in a file becomes pixels: the rules that training, evaluation and devices share.

They are stored with what a network knows of its data. A network of before there were such rules has none there, and
goes on reading as it learnt to: `BEFORE`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.geometry import LARGEST_IMAGE, MOST_PIXELS
from ddnn_runtime.untrusted import UnfitValueError, chosen, count, known, listed, number

Resize = Literal["crop", "pad", "squeeze"]
Levels = tuple[float, float]
RESIZES: tuple[Resize, ...] = ("crop", "pad", "squeeze")
WHITE = (255, 255, 255)
_KEYS = ("orientation", "background", "levels", "resize", "max_pixels")


@dataclass(frozen=True)
class Reading:
    """The rules.

    Args:
        orientation: exif turns and mirrors a picture as its EXIF data (or XMP) says, as viewers do; stored leaves it as
            its pixels are stored.
        background: red, green and blue, 0 to 255, of what a picture has no colour for: it shows through transparent
            pixels, and fills what `resize` pad adds. None drops transparency, so that whatever colour lies below it
            shows.
        levels: which numbers are black and white in pictures of more than 8 bits. None means 0 and 1 for floating-point
            numbers, 0 and 65535 for 16 bits (0 and 4095 for TIFFs of 12), and refuses 32-bit integers. A picture with
            numbers beyond is refused. clip is what was done before there were levels: numbers below 0 are black, those
            above 255 white, and of 16 bits the upper 8 are taken.
        resize: crop covers the wanted size and cuts out the centre; pad shows all of a picture, with bars; squeeze
            shows all of it, and changes its proportions.
        max_pixels: a picture of more is refused before it is decoded.

    Raises:
        DDNNError: for bars of no colour.
    """

    orientation: Literal["exif", "stored"] = "exif"
    background: tuple[int, int, int] | None = WHITE
    levels: Levels | Literal["clip"] | None = None
    resize: Resize = "crop"
    max_pixels: int = LARGEST_IMAGE

    def __post_init__(self) -> None:
        if self.resize == "pad" and self.background is None:
            raise DDNNError("resize pad needs a background, such as [255, 255, 255], the colour of the bars")

    def colour(self, channels: int) -> tuple[int, ...]:
        """The background for grey (1 channel) or RGB, black where there is none.

        >>> Reading(background=(255, 0, 0)).colour(3), Reading(background=(255, 0, 0)).colour(1)
        ((255, 0, 0), (76,))
        """
        red, green, blue = self.background or (0, 0, 0)
        grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16  # ITU-R 601-2, rounded as Pillow does
        return (grey,) if channels == 1 else (red, green, blue)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Reading":
        """Read a dictionary of its fields.

        Raises:
            UnfitValueError: it is not that.
        """
        known(fields, "reading", _KEYS)
        background, levels = fields["background"], fields["levels"]
        if fields["resize"] == "pad" and background is None:
            raise UnfitValueError("reading pads pictures, and has no background to do it with")
        return cls(
            orientation=cast(Any, chosen(fields["orientation"], "orientation", ("exif", "stored"))),
            background=None if background is None else cast(Any, listed(background, "background", _byte, 3, 3)),
            levels=cast(Any, levels if levels in (None, "clip") else _levels(levels)),
            resize=cast(Resize, chosen(fields["resize"], "resize", RESIZES)),
            max_pixels=count(fields["max_pixels"], "max_pixels", 1, MOST_PIXELS),
        )


AS_SHOWN = Reading()
"""As viewers show a picture: what networks are trained with, unless they are told to do otherwise."""

BEFORE = Reading("stored", None, "clip")
"""What was done before networks were stored with their rules."""


def _byte(value: Any, what: str) -> int:
    return count(value, what, 0, 255)


def _levels(value: Any) -> Levels:
    black, white = listed(value, "levels", number, 2, 2)
    if black >= white:
        raise UnfitValueError(f"levels must be black below white, not {black:g} and {white:g}")
    return black, white
