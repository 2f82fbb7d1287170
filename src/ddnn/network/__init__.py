"""Networks that hold several depths of one family in one set of weights: how they are built, run, stored and opened.

`depth_dynamic` is the product, on top of `nested_nets`. `building` and `loading` make one, `subnets` says which nets
may stand in it, and `sharing` ties the parameters; `lanes` computes once what nets have in common, and `routes`,
`segments` and `cascade` run the nets one after another.

Names are imported when they are first used, so that who reads a file of weights does not load every architecture.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddnn.network.building import build, from_model
    from ddnn.network.cascade import CascadeOutput
    from ddnn.network.depth_dynamic import DepthDynamicNetwork
    from ddnn.network.lanes import Output
    from ddnn.network.loading import load

_EXPORTS = {
    "CascadeOutput": "cascade",
    "DepthDynamicNetwork": "depth_dynamic",
    "Output": "lanes",
    "build": "building",
    "from_model": "building",
    "load": "loading",
}

__all__ = ["CascadeOutput", "DepthDynamicNetwork", "Output", "build", "from_model", "load"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'ddnn.network' has no attribute {name!r}")
    return getattr(import_module(f"ddnn.network.{_EXPORTS[name]}"), name)
