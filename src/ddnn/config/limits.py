"""Numbers with the limits that several configurations share: types, so that a field's annotation says what it takes.

`ddnn_runtime.configuration.check_types` compares; `ddnn_runtime.schema` says what a value must be, from the limits or
from the description. NaN is within no limits.
"""

from typing import Annotated

from msgspec import Meta

from ddnn_runtime.geometry import LARGEST_SIDE
from ddnn_runtime.schema import LARGEST

Count = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
UpTo100 = Annotated[int, Meta(ge=1, le=100, description="1 to 100")]
Seed = Annotated[int, Meta(ge=0, lt=2**32, description="in [0, 2^32)")]
Side = Annotated[int, Meta(ge=4, le=LARGEST_SIDE, description=f"4 to {LARGEST_SIDE} pixels")]

Positive = Annotated[float, Meta(gt=0)]
FinitePositive = Annotated[float, Meta(gt=0, le=LARGEST)]
Weight = Annotated[float, Meta(ge=0)]
FiniteWeight = Annotated[float, Meta(ge=0, le=LARGEST)]
Seconds = Annotated[float, Meta(gt=0, le=3600, description="above 0 and at most 3600")]
"""Of a measurement."""

Fraction = Annotated[float, Meta(ge=0, le=1)]
SomeFraction = Annotated[float, Meta(gt=0, le=1)]
"""Not nothing."""
Below1 = Annotated[float, Meta(ge=0, lt=1)]
"""Not everything."""
Inside01 = Annotated[float, Meta(gt=0, lt=1)]
"""Neither nothing nor everything."""

PERCENT = {"percent": True}
"""Of a share that may have been given in percent: what it would be as a share is said."""
Share = Annotated[float, Meta(gt=0, le=1, description="a share in (0, 1]", extra=PERCENT)]
ShareBelow1 = Annotated[float, Meta(ge=0, lt=1, description="a share in [0, 1)", extra=PERCENT)]
