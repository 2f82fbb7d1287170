"""How an image is brought to the size that a network takes: the arithmetic, which every engine shares.

Training, evaluation and devices without torch each resize with a library of their own, and must cut alike.
"""

LARGEST_SMALL_SIDE = 64
"""Images of up to this many pixels a side are held in memory; larger ones are decoded anew in each epoch."""

LARGEST_SIDE = 4096
"""Of the images that a network sees, in pixels: far above what classifiers use, and far below what fills a memory."""

LARGEST_IMAGE = 100_000_000
"""Pixels of an image that is still decoded. A few kilobytes can say that they are many more, to fill the memory."""

TOO_LARGE = f"it has more than the {LARGEST_IMAGE:,} pixels that are allowed"

Size = tuple[int, int]
"""(height, width) in pixels."""


def is_small(size: Size) -> bool:
    """Whether images of this size are held in memory."""
    return max(size) <= LARGEST_SMALL_SIDE


def covering(old: Size, wanted: Size) -> Size:
    """The size that an image is resized to, before its centre is cut out, so that it just covers what is wanted.

    Small images lose nothing but what sticks out; large ones first get the usual margin of 256 pixels for 224.

    >>> covering((32, 48), (32, 32)), covering((375, 500), (224, 224))
    ((32, 48), (256, 341))
    """
    height, width = wanted if is_small(wanted) else (wanted[0] * 256 // 224, wanted[1] * 256 // 224)
    old_height, old_width = old
    if height * old_width >= width * old_height:
        return height, height * old_width // old_height
    return width * old_height // old_width, width


def centre(old: Size, wanted: Size) -> tuple[int, int]:
    """Top and left of the centre of size `wanted`, rounded as torchvision's `center_crop` does.

    >>> centre((256, 341), (224, 224))
    (16, 58)
    """
    return round((old[0] - wanted[0]) / 2.0), round((old[1] - wanted[1]) / 2.0)
