"""`python -P -m edusec`, the same as the `edusec` script."""

import sys

from edusec.cli import main

if __name__ == "__main__":
    sys.exit(main())
