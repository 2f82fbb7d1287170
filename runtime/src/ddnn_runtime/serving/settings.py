"""How a server is run: the one place that its command line and Python share."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ddnn_runtime.configuration import check, check_types

_Port = Annotated[int, Meta(ge=0, le=65535)]
_Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Milliseconds = Annotated[float, Meta(gt=0, le=3.6e6)]
_Seconds = Annotated[float, Meta(ge=0, le=3600)]
_Headroom = Annotated[float, Meta(ge=0, le=0.9)]
_Bytes = Annotated[int, Meta(ge=1, le=2**32)]


@dataclass(frozen=True)
class ServeConfig:
    """How an export is served.

    Args:
        name: what clients call the export, as a model of the Open Inference Protocol for example; None means the name
            of its folder.
        host: address to listen on; the default is reached from this machine alone.
        port: to listen on; 0 takes a free one, which the first line of output names.
        policy: slackfit chooses net and batch by what is left until the deadline; fixed answers all by `subnet`; client
            answers by the net that a request names, else by the full net.
        subnet: the net of policy fixed; None means the full net.
        deadline_ms: of a request that names none, in milliseconds; None means no hurry.
        headroom: share of the time until a deadline that is not planned with, in [0, 0.9]: it is for the way of a
            request and of its answer, and for whatever a server cannot foresee.
        late: what becomes of a request whose deadline cannot be met any more: refuse answers 503 at once, shallowest
            answers it late, by the shallowest net that is allowed.
        workers: calls that run at once.
        threads: of one call; None means the cores of this machine, parted among the workers.
        max_batch: most images in a call.
        max_queue: most images that wait; beyond it a request gets 429 with Retry-After.
        max_images: most images in a request.
        max_bytes: most bytes in a request.
        max_pixels: an image of more is refused before it is decoded; None means as many as in training.
        profile: a profile of this device that `ddnn profile EXPORT` wrote, in place of measuring at the start.
        api_key: clients must send it, as `Authorization: Bearer KEY` or `X-API-Key: KEY`, for all but health.
        api_key_file: a file with such keys, one a line; it is read again when the export is.
        access_log: a file that gets one line a request; - is standard error; None writes none.
        drain_s: after SIGTERM, how long requests that were accepted may still take, in seconds.
    """

    name: str | None = None
    host: str = "127.0.0.1"
    port: _Port = 8000
    policy: Literal["slackfit", "fixed", "client"] = "slackfit"
    subnet: str | None = None
    deadline_ms: Milliseconds | None = None
    headroom: _Headroom = 0.2
    late: Literal["refuse", "shallowest"] = "refuse"
    workers: _Count = 1
    threads: _Count | None = None
    max_batch: _Count = 16
    max_queue: _Count = 1024
    max_images: _Count = 16
    max_bytes: _Bytes = 16_000_000
    max_pixels: _Count | None = None
    profile: str | None = None
    api_key: str | None = None
    api_key_file: str | None = None
    access_log: str | None = None
    drain_s: _Seconds = 30.0

    def __post_init__(self) -> None:
        check_types(self)
        check(self.subnet is None or self.policy == "fixed", "subnet is for policy fixed; give --policy fixed too")
        most = min(self.max_batch, self.max_queue)
        check(self.max_images <= most, "max_images must be at most max_batch and max_queue: a request is one batch")
        check(self.api_key is None or self.api_key_file is None, "give api_key or api_key_file, not both")
        check(self.api_key != "", "api_key is empty; leave it out to serve without a key")
