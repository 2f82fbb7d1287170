"""What torch.compile stands on."""

import sys
from typing import Any


def lacks_compiler(error: BaseException | None) -> bool:
    """Whether torch.compile has found no C++ compiler, whichever of its errors wraps that."""
    compiling: Any = sys.modules.get("torch._inductor.exc")  # loaded by whoever compiles, and dear for all others
    while compiling is not None and error is not None:
        if isinstance(error, compiling.InvalidCxxCompiler):
            return True
        error = getattr(error, "inner_exception", None) or error.__cause__ or error.__context__
    return False
