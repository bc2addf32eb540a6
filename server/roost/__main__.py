"""`python -m roost` is the command `roost`."""

import sys

from roost.cli import main

sys.exit(main())
