"""A server from its first line of output to its exit status: the port, the signals, and the order in which it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving.app import application
from ddnn_runtime.serving.protocol import LimitedProtocol
from ddnn_runtime.serving.service import Service
from ddnn_runtime.serving.settings import ServeConfig

_KEEP_ALIVE = 75
"""Seconds that a connection may idle: longer than balancers keep theirs, so that none asks where nobody listens."""
_MOST_FILES = 65_536
"""Of a process: a connection is one."""


Tell = Callable[[str, str], None]
"""Is given the name of the export and the address, once requests are answered there."""


def serve(export: Path, config: ServeConfig, tell: Tell) -> int:
    """Serve an export until a signal ends it; see `launch`."""
    listener = _listening(config.host, config.port)
    _allow_connections()
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit of pixels holds
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    with listener:
        return asyncio.run(_serve(export, config, listener, tell))


async def _serve(export: Path, config: ServeConfig, listener: socket.socket, tell: Tell) -> int:
    service, url = Service(export, config), _url(listener)
    server = _server(service)
    with _Signals(service, server) as signals:
        listening = asyncio.create_task(server.serve([listener]))
        starting = asyncio.create_task(service.start())
        try:
            await asyncio.wait((listening, starting), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                tell(service.name, url)
            await listening
        finally:
            server.should_exit = True
            await listening
            if not server.force_exit:
                await service.close()
    return signals.status


def _server(service: Service) -> _Server:
    return _Server(
        uvicorn.Config(
            application(service),
            http=LimitedProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=service.config.drain_s,  # type: ignore[arg-type]  # asyncio takes fractions
        )
    )


class _Server(uvicorn.Server):
    """uvicorn's, without its signals: it would end by the one that it got, not by an exit status of 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
        """Leave them to `_serve`."""
        yield


class _Signals:
    """Ends a server, and has it reload, when signals come.

    Attributes:
        status: what the process exits with.
    """

    def __init__(self, service: Service, server: _Server) -> None:
        self._service, self._server, self._loop = service, server, asyncio.get_running_loop()
        self._reloads: set[asyncio.Task[None]] = set()
        self._before: dict[signal.Signals, Any] = {}
        self.status = 0

    def __enter__(self) -> _Signals:
        handlers = {signal.SIGTERM: self._end, signal.SIGINT: self._end}
        if hasattr(signal, "SIGHUP"):  # Windows has no such signal
            handlers[signal.SIGHUP] = self._reload
        for number, handler in handlers.items():
            self._before[number] = signal.signal(number, partial(self._pass_on, handler))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, handler: Callable[[int], None], number: int, frame: object) -> None:
        """To the event loop, which is anywhere when a signal comes."""
        self._loop.call_soon_threadsafe(handler, number)

    def _end(self, number: int) -> None:
        if self._service.draining:  # who says it twice does not want to wait
            self._server.force_exit = True
            return
        self.status = 130 if number == signal.SIGINT else 0
        self._service.draining = self._server.should_exit = True

    def _reload(self, number: int) -> None:
        task = self._loop.create_task(_reload(self._service))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)


async def _reload(service: Service) -> None:
    with suppress(DDNNError):  # which has been said
        await service.reload()


def _allow_connections() -> None:
    """As many as this process may have; shells often give it 1,024 unless it asks for more."""
    try:
        import resource
    except ImportError:  # of Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.set_inheritable(True)
        return listener
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DDNNError(f"nobody can listen on {host}, port {port}: {reason}; give another --host or --port") from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
