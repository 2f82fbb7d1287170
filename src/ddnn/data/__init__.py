"""Images and labels, ready for a network: `open_data` opens a data set, `read_image` prepares one image like it."""

from ddnn.data.data_set import Data, Loader, open_data
from ddnn.data.images import is_small, read_image
from ddnn.data.sources import DATA_SETS

__all__ = ["DATA_SETS", "Data", "Loader", "is_small", "open_data", "read_image"]
