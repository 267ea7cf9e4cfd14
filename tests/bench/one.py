"""One benchmark in a process of its own: `python -m tests.bench.one P1`; its figures go to stdout.

Started by `__main__`, which says in the environment what it stands on.
"""

import json
import sys
from dataclasses import asdict

import django


def main(name: str) -> None:
    """Runs the benchmark and prints its figures as one line of JSON, the last one."""
    django.setup()
    from tests.bench.ground import Ground
    from tests.bench.table import BENCHMARKS

    figures = BENCHMARKS[name](Ground.from_environment())
    print(json.dumps([asdict(figure) for figure in figures]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
