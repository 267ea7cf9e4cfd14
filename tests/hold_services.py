"""A process that runs the services until it is told to stop, for tests of their lifetime.

    python -m tests.hold_services DIRECTORY

prints one line of JSON with the environment, then waits for its standard input to close.
"""

import json
import sys
from pathlib import Path

from config.local.lifetime import SetupError
from config.local.services import running_services


def main(directory: str) -> None:
    """Hold the services of ``directory``; a SetupError becomes the exit message."""
    try:
        with running_services(Path(directory), durable=True) as services:
            print(json.dumps(services.environment), flush=True)
            sys.stdin.read()
    except SetupError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(sys.argv[1])
