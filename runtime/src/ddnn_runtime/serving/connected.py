"""What is done for a client stops when it hangs up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from ddnn_runtime.serving.refusals import HungUpError


@asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Cancel what is awaited within this as soon as the client hangs up; its body must have been read.

    Raises:
        HungUpError: it has.
    """
    work = asyncio.current_task()
    assert work is not None
    watch = asyncio.create_task(_hung_up(request))
    watch.add_done_callback(lambda watch: None if watch.cancelled() else work.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if not watch.done() or watch.cancelled() or work.uncancel():  # somebody else has cancelled it
            raise
        raise HungUpError from None
    finally:
        watch.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
