"""`make bench`: how fast the product is beside the raw limit of the same machine in the same run.

`python -m tests.bench` starts its own PostgreSQL (with fsync) and Redis, makes databases of its
own, and runs each benchmark in a process of its own (`one`), so that its memory is its own. Subject
and limit take turns, medians are compared, and both must have done the same work. ONLY=P1,P6 runs
some, SCALE=full a million rows, DIRECTORY= keeps the servers' data for the next run.

- `district`, `ground`: what the benchmarks stand on: people, an account, messages, processes
- `launching` P1 P2, `sending` P3 P5, `collecting` P6, `reporting` P7 P9, `importing` P10,
  `growth` P12; `table` lists them
- `measure`, `figures`: how time and memory are taken; docs/benchmarks.json and .md

Nothing in the product imports this package.
"""
