"""What a user writes without this project: starlette around one onnxruntime session of the full net.

python plain.py EXPORT PORT

Decoding and the net run in threads, so that the event loop goes on. There is no queue, no batch and no deadline.
"""

import json
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class Net:
    """The full net of an export, as one opens any ONNX file.

    Args:
        export: its folder.
    """

    def __init__(self, export: Path) -> None:
        said = json.loads((export / "export.json").read_text(encoding="utf-8"))
        self.mean, self.std = (np.array(said["data"][key], np.float32)[:, None, None] for key in ("mean", "std"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        name = list(said["nets"])[-1]
        self.session = onnxruntime.InferenceSession(export / f"{name}.onnx", options)

    def decoded(self, body: bytes) -> np.ndarray:
        """Bytes of a file as (channels, height, width)."""
        pixels = np.asarray(Image.open(BytesIO(body)).convert("RGB"), np.float32) / 255
        return (pixels.transpose(2, 0, 1) - self.mean) / self.std

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Of (batch, channels, height, width)."""
        return np.asarray(self.session.run(None, {"images": images})[0])

    def classified(self, body: bytes) -> int:
        """The class of one image."""
        return int(self.logits(self.decoded(body)[None])[0].argmax())


def main() -> None:
    """Serve."""
    net = Net(Path(sys.argv[1]))

    async def predict(request: Request) -> JSONResponse:
        return JSONResponse({"class": await run_in_threadpool(net.classified, await request.body())})

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({})

    routes = [Route("/predict", predict, methods=["POST"]), Route("/health", health)]
    uvicorn.run(Starlette(routes=routes), port=int(sys.argv[2]), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
