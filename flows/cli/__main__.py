"""`python -m flows.cli` is the command `verdict`."""

import sys

from flows.cli.main import main

sys.exit(main())
