"""The full net behind LitServe (pip install litserve): batches of up to 16, no deadline.

python lit.py EXPORT PORT
"""

import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import litserve  # pyright: ignore[reportMissingImports]
import numpy as np
from plain import Net
from starlette.requests import Request


class Classifies(litserve.LitAPI):
    """One image a request, several in a call."""

    def setup(self, device: str) -> None:
        """In the worker."""
        self.net = Net(Path(sys.argv[1]))

    def decode_request(self, request: Request, **kwargs: Any) -> np.ndarray:
        """From JSON, as LitServe's own examples send images; the annotation is how LitServe is told so."""
        return self.net.decoded(b64decode(request["image"]))

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """A batch."""
        return self.net.logits(np.stack(x)).argmax(axis=1)

    def encode_response(self, output: Any, **kwargs: Any) -> dict[str, int]:
        """One answer."""
        return {"class": int(output)}


if __name__ == "__main__":
    server = litserve.LitServer(Classifies(max_batch_size=16), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error", num_api_servers=1
    )
