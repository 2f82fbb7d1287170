"""A server from its first line of output to its exit status: the port, the signals, and the order in which it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving.app import application
from ddnn_runtime.serving.service import Service
from ddnn_runtime.serving.settings import ServeConfig

_HANGS_UP = hasattr(signal, "SIGHUP")
"""Windows has no such signal."""
_MOST_FILES = 65_536
"""Of a process: a connection is one."""


def serve(export: str | Path, config: ServeConfig, tell: Callable[[str], None]) -> int:
    """Serve an export until a signal ends it; gives the exit status, 0 after SIGTERM and 130 after Ctrl-C.

    Args:
        export: what `ddnn export RUN --format onnx` wrote.
        config: how.
        tell: is given the address, once requests are answered there.

    Raises:
        DDNNError: it cannot be served, or nobody may listen there.
    """
    listener = _listening(config.host, config.port)
    _allow_connections()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return asyncio.run(_serve(Path(export), config, listener, tell))


async def _serve(export: Path, config: ServeConfig, listener: socket.socket, tell: Callable[[str], None]) -> int:
    service, url = Service(export, config), _url(listener)
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()
    server = _Server(
        uvicorn.Config(
            application(service),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            timeout_graceful_shutdown=config.drain_s,  # type: ignore[arg-type]  # asyncio takes fractions
        )
    )
    ended = 0

    def end(number: int) -> None:
        nonlocal ended
        server.force_exit = service.draining  # who says it twice does not want to wait
        ended = 130 if number == signal.SIGINT else 0
        service.draining = server.should_exit = True

    def reload(number: int) -> None:
        task = loop.create_task(_reload(service))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    with _handled({signal.SIGTERM: end, signal.SIGINT: end, **({signal.SIGHUP: reload} if _HANGS_UP else {})}):
        listening = asyncio.create_task(server.serve([listener]))
        starting = asyncio.create_task(service.start())
        try:
            await asyncio.wait((listening, starting), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                tell(url)
            await listening
        finally:
            server.should_exit = True
            await listening
            if not server.force_exit:
                await service.close()
    return ended


async def _reload(service: Service) -> None:
    with suppress(DDNNError):  # which has been said
        await service.reload()


class _Server(uvicorn.Server):
    """uvicorn's, without its signals: it would end by the one that it got, not by an exit status of 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
        """Leave them to `_serve`."""
        yield


@contextmanager
def _handled(handlers: dict[signal.Signals, Callable[[int], None]]) -> Iterator[None]:
    """Call a function in the event loop when a signal comes."""
    loop = asyncio.get_running_loop()
    before = {
        number: signal.signal(number, lambda got, _, handler=handler: loop.call_soon_threadsafe(handler, got))
        for number, handler in handlers.items()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
