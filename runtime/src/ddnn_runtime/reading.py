"""How a picture in a file becomes pixels: the rules that training, evaluation and devices share.

They are stored with what a network knows of its data. A network of before there were such rules has none there, and
goes on reading as it learnt to: `BEFORE`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.geometry import LARGEST_IMAGE, MOST_PIXELS

Byte = Annotated[int, Meta(ge=0, le=255)]
Number = Annotated[float, Meta(ge=-1e18, le=1e18, description="a finite number")]
Pixels = Annotated[int, Meta(ge=1, le=MOST_PIXELS, description=f"1 to {MOST_PIXELS}")]
"""Of one picture."""
Resize = Literal["crop", "pad", "squeeze"]
Levels = tuple[float, float]
WHITE = (255, 255, 255)


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
        DDNNError: for bars of no colour, and black that is not below white.
    """

    orientation: Literal["exif", "stored"] = "exif"
    background: tuple[Byte, Byte, Byte] | None = WHITE
    levels: tuple[Number, Number] | Literal["clip"] | None = None
    resize: Resize = "crop"
    max_pixels: Pixels = LARGEST_IMAGE

    def __post_init__(self) -> None:
        if self.resize == "pad" and self.background is None:
            raise DDNNError("resize pad needs a background, such as [255, 255, 255], the colour of the bars")
        if isinstance(self.levels, tuple) and not self.levels[0] < self.levels[1]:
            raise DDNNError(f"levels must be black and the larger white, such as [0, 4095], not {[*self.levels]}")

    def colour(self, channels: int) -> list[int]:
        """The background for grey (1 channel) or RGB, black where there is none.

        >>> Reading(background=(255, 0, 0)).colour(3), Reading(background=(255, 0, 0)).colour(1)
        ([255, 0, 0], [76])
        """
        red, green, blue = self.background or (0, 0, 0)
        grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16  # ITU-R 601-2, rounded as Pillow does
        return [grey] if channels == 1 else [red, green, blue]


AS_SHOWN = Reading()
"""As viewers show a picture: what networks are trained with, unless they are told to do otherwise."""

BEFORE = Reading("stored", None, "clip")
"""What was done before networks were stored with their rules."""
