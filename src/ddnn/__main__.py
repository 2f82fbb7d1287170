"""`python -m ddnn`, and `torchrun -m ddnn train` on several devices or machines: the command line."""

import sys

from ddnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
