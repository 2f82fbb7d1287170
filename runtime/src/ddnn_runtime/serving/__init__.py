"""An export behind a port: when requests pile up, they are answered by a shallower net instead of later.

`policy` decides which requests go together and which net answers them, from the queue and a `table` of what nets cost
and are worth; it is a pure function, and `simulator` runs it over a trace of arrivals. The server stands around it.
"""
