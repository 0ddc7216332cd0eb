"""The command `skmm-fast`, as `python -m skmm_fast`."""

import sys

from .cli import main

sys.exit(main())
