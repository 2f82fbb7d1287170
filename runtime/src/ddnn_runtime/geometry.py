"""How an image is brought to the size that a network takes: the arithmetic, which every engine shares.

Training, evaluation and devices without torch each resize with a library of their own, and must cut alike.
"""

LARGEST_SMALL_SIDE = 64
"""Images of up to this many pixels a side are held in memory; larger ones are decoded anew in each epoch."""

LARGEST_SIDE = 4096
"""Of the images that a network sees, in pixels: far above what classifiers use, and far below what fills a memory."""

LARGEST_IMAGE = 100_000_000
"""Pixels of an image that is still decoded, unless more are allowed. A few kilobytes can say that they are many more,
to fill the memory."""

MOST_PIXELS = 1_000_000_000
"""The most pixels of an image that can be allowed; decoded, they take 3 GB."""

_PROPORTIONATE = 2**24
"""Pixels that an image may always have after it was resized and before its centre is cut out."""

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


def too_large(max_pixels: int) -> str:
    """What an error says of an image of more pixels than are allowed."""
    return f"it has more than the {max_pixels:,} pixels that are allowed (max_pixels)"


def is_strip(old: Size, wanted: Size) -> bool:
    """Whether an image is so long that all of it must not be resized to just cover what is wanted, only to throw its
    ends away: of 1x60000 pixels, that would be four thousand million.

    >>> is_strip((375, 500), (224, 224)), is_strip((1, 60000), (224, 224))
    (False, True)
    """
    height, width = covering(old, wanted)
    return height * width > max(_PROPORTIONATE, 16 * wanted[0] * wanted[1])


def centre_box(old: Size, wanted: Size) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, in pixels of the image, of what `covering` and `centre` leave of it.

    >>> centre_box((1, 60000), (224, 224))
    (29999.5625, 0.0625, 30000.4375, 0.9375)
    """
    covered = covering(old, wanted)
    top, left = centre(covered, wanted)
    down, right = old[0] / covered[0], old[1] / covered[1]
    return left * right, top * down, (left + wanted[1]) * right, (top + wanted[0]) * down


def inside(old: Size, wanted: Size) -> Size:
    """The size that an image is resized to, so that all of it is just inside of what is wanted.

    >>> inside((64, 256), (32, 32)), inside((1, 60000), (224, 224))
    ((8, 32), (1, 224))
    """
    (height, width), (old_height, old_width) = wanted, old
    if height * old_width >= width * old_height:
        return max(1, round(width * old_height / old_width)), width
    return height, max(1, round(height * old_width / old_height))


def passes(old: Size, wanted: Size) -> list[Size]:
    """The sizes that an image goes through on its way to one of other proportions.

    Libraries resize rows before columns. Where an image is high and narrow, that would first make it wide as well.

    >>> passes((500, 375), (224, 224)), passes((10**6, 1), (224, 224))
    ([(224, 224)], [(224, 1), (224, 224)])
    """
    between = old[0] * wanted[1]
    return [(wanted[0], old[1]), wanted] if between > max(_PROPORTIONATE, old[0] * old[1]) else [wanted]


def centre(old: Size, wanted: Size) -> tuple[int, int]:
    """Top and left of the centre of size `wanted`, rounded as torchvision's `center_crop` does.

    >>> centre((256, 341), (224, 224))
    (16, 58)
    """
    return round((old[0] - wanted[0]) / 2.0), round((old[1] - wanted[1]) / 2.0)
