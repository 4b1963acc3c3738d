"""``python -P -m otgen``: the command. Without ``-P`` Python looks for modules in the working directory first."""

import sys

from otgen.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
