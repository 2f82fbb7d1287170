"""The server on a cluster: replicas of it behind Ray Serve, each with an export, a table, a queue and the policy of its
own.

Ray starts replicas where there is room, gives a request to the less busy of two of them, starts more when more requests
are on their way, and replaces those that end. Which net answers, and in which batch, each replica decides by what it
has measured on its own machine. So while there are too few replicas, shallower nets answer, and nobody waits longer.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddnn_runtime.configuration import check, check_types
from ddnn_runtime.errors import DDNNError, near
from ddnn_runtime.serving.app import application as routes_of
from ddnn_runtime.serving.replies import reply
from ddnn_runtime.serving.service import Service
from ddnn_runtime.serving.settings import ServeConfig

if TYPE_CHECKING:
    from ray.serve import Application

_Natural = Annotated[int, Meta(ge=0, le=100_000)]
_Count = Annotated[int, Meta(ge=1, le=100_000)]
_Positive = Annotated[float, Meta(gt=0, le=1e6)]
_Seconds = Annotated[float, Meta(ge=0, le=1e6)]

_OF_ONE = {
    "/reload": "each replica opens the export when it starts; deploy the application again, with another folder",
    "/metrics": "a replica's own figures say nothing of the others; scrape those of Ray, which count all requests",
}
"""What one replica cannot answer for all, and why."""


@dataclass(frozen=True)
class RayConfig:
    """How many replicas there are, and what each of them takes.

    Args:
        min_replicas: fewest; with 0 the first request after a pause waits until one has started.
        max_replicas: most.
        target_ongoing_requests: requests on their way in a replica, those that wait included, that Ray aims at: more
            replicas when there are more. None means `max_batch` of the server, one full call.
        upscale_delay_s: for so long there must be more before replicas are added, in seconds.
        downscale_delay_s: for so long there must be fewer before replicas end, in seconds.
        cpus: cores that a replica takes of its machine, and threads of a call, unless `threads` of the server says
            otherwise.
    """

    min_replicas: _Natural = 1
    max_replicas: _Count = 4
    target_ongoing_requests: _Positive | None = None
    upscale_delay_s: _Seconds = 30.0
    downscale_delay_s: _Seconds = 600.0
    cpus: _Positive = 1.0

    def __post_init__(self) -> None:
        check_types(self)
        check(self.min_replicas <= self.max_replicas, "min_replicas must be at most max_replicas")


def application(
    export: str | Path, config: ServeConfig | None = None, replicas: RayConfig | None = None
) -> Application:
    """The application that `ray.serve.run` deploys.

    Args:
        export: a folder that `ddnn export` wrote, at the same path on every machine of the cluster.
        config: how it is served; None means the defaults. Address and port are Ray's own.
        replicas: how many, and what each takes; None means the defaults.

    Raises:
        DDNNError: Ray is not installed, or the configuration makes no sense.

    Example:
        ```python
        ray.serve.run(application("/srv/export", ServeConfig(deadline_ms=50), RayConfig(max_replicas=8)))
        ```
    """
    try:
        from ray import serve
    except ImportError:
        raise DDNNError("ray is not installed, which replicas need: pip install 'ddnn-runtime[serve,ray]'") from None
    config, replicas = config or ServeConfig(), replicas or RayConfig()
    usual = ServeConfig()
    check((config.host, config.port) == (usual.host, usual.port), "host and port are Ray's: give them to `serve start`")
    if config.threads is None:
        config = replace(config, threads=max(1, int(replicas.cpus / config.workers)))
    served = serve.ingress(Replica(str(export), config))(_Served)
    deployment: Any = serve.deployment(name="ddnn", **_options(config, replicas))(served)
    return deployment.bind()


def build(arguments: dict[str, Any]) -> Application:
    """The same from keys by name, for `serve run ddnn_runtime.serving.ray:build export=PATH KEY=VALUE…`, and for the
    `args` of a configuration file of Ray's.

    Args:
        arguments: `export`, and keys of `ServeConfig` and `RayConfig`; texts as a command line has them, too.

    Raises:
        DDNNError: a key is unknown or missing, or Ray is not installed, or the configuration makes no sense.
    """
    given = {key: _value(value) for key, value in arguments.items()}
    export = given.pop("export", None)
    check(isinstance(export, str), "export is missing: give the folder of an export, export=PATH")
    of_server, of_replicas = ({field.name for field in fields(kind)} for kind in (ServeConfig, RayConfig))
    for key in given:
        check(key in of_server | of_replicas, f"there is no key {key!r}; {near(key, sorted(of_server | of_replicas))}")
    config = ServeConfig(**{key: value for key, value in given.items() if key in of_server})
    return application(export, config, RayConfig(**{key: given[key] for key in given if key in of_replicas}))


class _Served:
    """What Ray keeps in the process of a replica, around the ASGI application."""


class Replica:
    """One replica, an ASGI application: it opens the export when it is started, not when it is made.

    Args:
        export: a folder.
        config: how it is served.
    """

    def __init__(self, export: str, config: ServeConfig) -> None:
        self._export, self._config = export, config
        self._routes: ASGIApp | None = None
        self._name = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start and end, or answer a request."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        assert self._routes is not None  # Ray sends requests to those that have started
        reason = _OF_ONE.get(scope["path"])
        routes = self._routes if reason is None else reply({"error": reason}, 404)
        await routes(scope, receive, self._named(send))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        service = Service(Path(self._export), self._config)
        try:
            await service.start()
        except DDNNError as error:
            return await send({"type": "lifespan.startup.failed", "message": str(error)})
        self._routes, self._name = routes_of(service), _name().encode()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await service.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _named(self, send: Send) -> Send:
        """With the name of this replica in the answer, so that one that answers wrongly is found."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-replica", self._name)]
            await send(message)

        return told


def _options(config: ServeConfig, replicas: RayConfig) -> dict[str, Any]:
    """What Ray is told of a deployment."""
    scaling = {key: value for key, value in asdict(replicas).items() if key != "cpus"}
    scaling["target_ongoing_requests"] = replicas.target_ongoing_requests or config.max_batch
    return {
        "ray_actor_options": {"num_cpus": replicas.cpus},
        "autoscaling_config": scaling,
        # More than a replica takes: it refuses what is too much, which else would wait where nobody looks at deadlines.
        "max_ongoing_requests": 2 * config.max_queue + config.workers * config.max_batch,
        "graceful_shutdown_timeout_s": config.drain_s,
        "health_check_period_s": 2.0,  # by which Ray notices that a process is gone
    }


def _value(given: Any) -> Any:
    """What a text of a command line means; anything else as it is.

    >>> [_value(text) for text in ("50", "0.5", "true", "null", "/srv/export")]
    [50, 0.5, True, None, '/srv/export']
    """
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        return given


def _name() -> str:
    """Of the replica that this process is, for Ray; nothing outside of Ray."""
    from ray.serve import get_replica_context
    from ray.serve.exceptions import RayServeException

    try:
        return get_replica_context().replica_tag
    except RayServeException:
        return ""
