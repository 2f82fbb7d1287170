"""An export that is served: the batcher that holds it now, and how another one takes its place with no request lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import numpy as np
from starlette.requests import Request as HTTPRequest

from ddnn_runtime.cores import cores
from ddnn_runtime.runtime import Runtime
from ddnn_runtime.serving.batcher import Batcher
from ddnn_runtime.serving.bodies import Room, Take, joined, read_chunks
from ddnn_runtime.serving.keys import Keys
from ddnn_runtime.serving.log import AccessLog, say
from ddnn_runtime.serving.opening import Opened, open_export, real_image
from ddnn_runtime.serving.policy import Policy, policy_of
from ddnn_runtime.serving.refusals import Refusal
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.settings import ServeConfig
from ddnn_runtime.serving.tally import Tally

Result = TypeVar("Result")

_LARGEST_BODIES = 16
"""So many of the largest bodies that are allowed are in memory at once, or more of smaller ones."""


class Service:
    """What all requests share; made within an event loop.

    Args:
        export: a folder; `reload` looks there again.
        config: how it is served.

    Raises:
        DDNNError: there are no keys, or no access log, where the configuration says.
    """

    def __init__(self, export: Path, config: ServeConfig) -> None:
        self.export, self.config = export, config
        self.name = config.name or export.resolve().name
        self.keys = Keys(config)
        self.log = None if config.access_log is None else AccessLog(config.access_log)
        self.tally = Tally(lambda: 0 if self._batcher is None else self._batcher.waiting)
        self.room = Room(_LARGEST_BODIES * config.max_bytes)
        self.draining = False
        self._batcher: Batcher | None = None
        self._opened: Opened | None = None
        self._reloading = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._calls = ThreadPoolExecutor(config.workers, "call")
        self._decoders = ThreadPoolExecutor(cores(), "decode")

    async def start(self) -> None:
        """Open the export, measure its nets, and answer a real image.

        Raises:
            DDNNError: it cannot be served.
        """
        async with self._reloading:
            await self._take_up(await asyncio.to_thread(open_export, self.export, self.config))

    def batcher(self) -> Batcher:
        """What answers those who ask now.

        Raises:
            Refusal: nothing yet, or nothing any more.
        """
        if self.draining:
            raise Refusal(503, "this server is about to end; ask another one, or this one when it is back", 1)
        if self._batcher is None:
            raise Refusal(503, "this server measures its nets; ask again in a few seconds", 1)
        return self._batcher

    def described(self) -> dict[str, Any]:
        """What there is to ask for; errors as of `batcher`."""
        batcher = self.batcher()
        manifest, table = batcher.runtime.manifest, batcher.table
        return {
            "name": self.name,
            "input_shape": manifest.input_shape,
            "classes": manifest.num_classes,
            "class_names": batcher.runtime.class_names,
            "batches": table.batches,
            "cascade": table.cascade is not None,
            "policy": self.config.policy,
            "deadline_ms": self.config.deadline_ms,
            "nets": [
                {
                    "name": name,
                    "depth": net.depth,
                    "accuracy": net.accuracy,
                    "parameters": net.parameters,
                    "macs": net.macs,
                    "ms": [1e3 * seconds for seconds in table.seconds[name]],
                }
                for name, net in manifest.nets.items()
            ],
        }

    async def in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """The result of work that would keep the event loop from its other requests."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work, *arguments)

    async def body(self, request: HTTPRequest, take: Take) -> bytes:
        """All of a body, within the limits."""
        return await joined(read_chunks(request, self.config.max_bytes, take))

    async def prepared(self, runtime: Runtime, images: Sequence[tuple[bytes, str]]) -> np.ndarray:
        """Images of a request, decoded side by side: (images, channels, height, width).

        Raises:
            DDNNError: one cannot be decoded.
        """
        loop = asyncio.get_running_loop()
        decoding = [loop.run_in_executor(self._decoders, runtime.prepare, *image) for image in images]
        try:
            decoded = await asyncio.gather(*decoding)
        finally:
            for each in decoding:  # if one of them is no image, or the client has hung up
                each.cancel()
        return decoded[0] if len(decoded) == 1 else np.concatenate(decoded)

    async def reload(self) -> None:
        """Take up what is in the folder now, and the keys, or keep what is served.

        Raises:
            Refusal: it cannot be served; the old one goes on.
        """
        async with self._reloading:
            try:
                self.keys.read()
                if self.log is not None:
                    self.log.reopen()
                await self._take_up(await asyncio.to_thread(open_export, self.export, self.config, self._opened))
            except Exception as error:  # whatever is wrong with it
                self.tally.reloaded(taken=False)
                reason = " ".join(str(error).split()) or type(error).__name__
                say(f"reload: {self.export} is not taken up, the export of before goes on: {reason}")
                raise Refusal(409, f"not taken up, the export of before goes on: {reason}") from None
            self.tally.reloaded(taken=True)
            say(f"reload: {self.export} is served as it is now")

    async def close(self) -> None:
        """Answer what is on its way, then stop."""
        self.draining = True
        await asyncio.gather(*self._closing, *([] if self._batcher is None else [self._batcher.close()]))
        self._calls.shutdown(cancel_futures=True)
        self._decoders.shutdown(cancel_futures=True)
        if self.log is not None:
            self.log.close()

    async def _take_up(self, opened: Opened) -> None:
        """Answer new requests by another export, once it has answered a real image; the old one answers its own."""
        policy = policy_of(self.config, opened.table)
        image = await self.in_thread(real_image, opened.runtime)
        batcher = self._new_batcher(opened, policy)
        try:
            await batcher.answer(image, Request(0, monotonic()))
        except BaseException:
            await batcher.close()
            raise
        batcher.watch = self.tally.saw  # clients' requests count, ours does not
        old, self._batcher, self._opened = self._batcher, batcher, opened
        if old is not None:
            closing = asyncio.create_task(old.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _new_batcher(self, opened: Opened, policy: Policy) -> Batcher:
        config = self.config
        return Batcher(
            opened.runtime,
            opened.table,
            policy,
            self._calls,
            workers=config.workers,
            most=config.max_queue,
            late=config.late,
            headroom=config.headroom,
            number=self._numbers,
        )
