"""``python -m jaxattr``: the command line."""

import sys

from jaxattr.cli import main

if __name__ == "__main__":
    sys.exit(main())
