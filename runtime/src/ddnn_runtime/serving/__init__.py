"""An export behind a port: when requests pile up, they are answered by a shallower net instead of later.

`policy` decides which requests go together and which net answers them, from the queue and a `table` of what nets cost
and are worth; it is a pure function, and `simulator` runs it over a trace of arrivals. The server stands around it:

- `batcher` holds the queue of an export and runs the batches that the policy forms; `opening` opens an export.
- `service` holds the batcher of now, and exchanges it when a new export is taken up.
- `app` and `open_inference` are the routes; `front` is what every request passes before; `bodies`, `tensors` and
  `wishes` read requests, `predictions` and `replies` write answers.
- `serve` runs all that with uvicorn until a signal comes; `launch` is what the commands call.
"""
