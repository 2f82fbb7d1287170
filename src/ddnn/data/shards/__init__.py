"""Images in WebDataset's tar files, for data that does not lie on one disk: on this machine, or on a server.

An index says where in which tar each image is, so that any image can be read at any time, as from a folder. Which image
stands where in an epoch, going on in the middle of one, and each process's share need nothing of their own for it.

`ddnn shards` writes shards and their index.
"""

from ddnn.data.shards.source import open_shards
from ddnn.data.shards.writing import write_shards

__all__ = ["open_shards", "write_shards"]
