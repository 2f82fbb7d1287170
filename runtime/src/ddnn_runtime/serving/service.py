"""An export that is served: the batcher that holds it now, and how another one takes its place with no request lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np

from ddnn_runtime.cores import cores
from ddnn_runtime.runtime import Runtime
from ddnn_runtime.serving.batcher import Batcher
from ddnn_runtime.serving.opening import Opened, open_export, real_image
from ddnn_runtime.serving.policy import policy_of
from ddnn_runtime.serving.refusals import Refusal
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.settings import ServeConfig
from ddnn_runtime.serving.tally import Tally


class Service:
    """What all requests share.

    Args:
        export: a folder; `reload` looks there again.
        config: how it is served.
    """

    def __init__(self, export: Path, config: ServeConfig) -> None:
        self.export, self.config, self.tally = export, config, Tally()
        self.name = export.resolve().name
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
        await self._take_up(await asyncio.to_thread(open_export, self.export, self.config))

    @property
    def ready(self) -> bool:
        """Whether requests are answered."""
        return self._batcher is not None and not self.draining

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

    async def prepared(self, runtime: Runtime, images: Sequence[tuple[bytes, str]]) -> np.ndarray:
        """Images of a request, decoded by threads: (images, channels, height, width).

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
        """Take up what is in the folder now, or keep what is served.

        Raises:
            Refusal: another reload is under way.
            DDNNError: it cannot be served; the old one goes on.
        """
        async with self._reloading:
            await self._take_up(await asyncio.to_thread(open_export, self.export, self.config, self._opened))

    async def close(self) -> None:
        """Answer what is on its way, then stop."""
        self.draining = True
        await asyncio.gather(*self._closing, *([] if self._batcher is None else [self._batcher.close()]))
        self._calls.shutdown(cancel_futures=True)
        self._decoders.shutdown(cancel_futures=True)

    async def _take_up(self, opened: Opened) -> None:
        """Answer new requests by another export, once it has answered a real image; the old one answers its own."""
        batcher = Batcher(
            opened.runtime,
            opened.table,
            policy_of(self.config, opened.table),
            self._calls,
            workers=self.config.workers,
            most=self.config.max_queue,
            late=self.config.late,
            watch=self.tally.saw,
            number=self._numbers,
        )
        image = await asyncio.get_running_loop().run_in_executor(self._decoders, real_image, opened.runtime)
        await batcher.answer(image, Request(0, asyncio.get_running_loop().time()))
        old, self._batcher, self._opened = self._batcher, batcher, opened
        if old is not None:
            closing = asyncio.create_task(old.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
