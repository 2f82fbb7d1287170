"""Which augmentation goes with images of a size: small ones are changed in memory, large ones by their workers."""

from ddnn.config import DataConfig
from ddnn.data.policies import BATCHED
from ddnn.errors import DataError
from ddnn_runtime.geometry import LARGEST_SMALL_SIDE, is_small


def check_augment(config: DataConfig, size: tuple[int, int]) -> None:
    """Raise a DataError for augmentation that images of this (height, width) cannot have."""
    augment, side = config.augment, min(size)
    if is_small(size):
        if augment.sizes:
            raise DataError(f"augment.sizes is for large images, and these have {side} pixels a side; leave it out")
        if augment.policy not in ("none", *BATCHED):
            raise DataError(
                f"augment.policy {augment.policy} is for large images only (over {LARGEST_SMALL_SIDE} pixels a side), "
                f"and these have {side}: set it to none, {' or '.join(BATCHED)}, or image_size to a larger one"
            )
        if augment.crop is not None and augment.crop >= side:
            raise DataError(f"augment.crop pads by {augment.crop} pixels, which must be less than the image's {side}")
    elif augment.crop:
        raise DataError(
            f"augment.crop is for images of at most {LARGEST_SMALL_SIDE} pixels a side, and these have "
            f"{side}: leave it out and set augment.scale"
        )
