"""Images and labels, ready for a network: `open_data` opens a data set, `read_image` prepares one image like it."""

from ddnn.data.class_names import ClassesFrom
from ddnn.data.data_set import Data, open_data
from ddnn.data.images import read_image
from ddnn.data.loader import Loader
from ddnn.data.sources import DATA_SETS

__all__ = ["DATA_SETS", "ClassesFrom", "Data", "Loader", "open_data", "read_image"]
