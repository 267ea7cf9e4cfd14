"""Which benchmarks there are, in the order in which they run, and what each needs to be running."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.collecting import measure_collection
from tests.bench.figures import Figure
from tests.bench.ground import Ground
from tests.bench.importing import measure_import
from tests.bench.launching import measure_expansion, measure_freezing
from tests.bench.reporting import measure_reports, measure_summary


@dataclass(frozen=True)
class Benchmark:
    """`workers`: the pages, the workers and beat run as in `make main-job`."""

    measure: Callable[[Ground], list[Figure]]
    workers: bool = False


BENCHMARKS = {
    "P10": Benchmark(measure_import),
    "P1": Benchmark(measure_expansion),
    "P2": Benchmark(measure_freezing),
    "P7": Benchmark(measure_summary),
    "P9": Benchmark(measure_reports),
    "P6": Benchmark(measure_collection),
}
