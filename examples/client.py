"""Ask `ddnn serve EXPORT` what is on pictures, within 50 ms: python examples/client.py 127.0.0.1:8000 PICTURE..."""

import json
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

server = HTTPConnection(sys.argv[1], timeout=10)
for file in sys.argv[2:]:
    for last in (False, False, True):
        server.request("POST", "/predict", Path(file).read_bytes(), {"X-Deadline-Ms": "50"})
        reply = server.getresponse()
        told = json.load(reply)
        if last or reply.status not in (429, 503):  # too many wait; or it cannot be in time, or the server is ending
            break
        time.sleep(float(reply.headers.get("Retry-After", 0.1)))
    print(file, told["predictions"][0]["label"] if reply.status == 200 else told["error"])
