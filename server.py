"""Read the environment, build, run; nothing else."""

import sys

from jarvis_proxy.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
