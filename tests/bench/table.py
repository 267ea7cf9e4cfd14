"""Which benchmarks there are."""

from collections.abc import Callable

from tests.bench.canceling import measure_canceling
from tests.bench.collecting import measure_collection
from tests.bench.emergency import measure_emergency
from tests.bench.figures import Figure
from tests.bench.finding import measure_finding
from tests.bench.ground import Ground
from tests.bench.growth import measure_growth
from tests.bench.importing import measure_import
from tests.bench.launching import measure_expansion, measure_freezing
from tests.bench.reporting import measure_reports, measure_summary
from tests.bench.searching import measure_searching
from tests.bench.sending import measure_sending

BENCHMARKS: dict[str, Callable[[Ground], list[Figure]]] = {
    "P1": measure_expansion,
    "P2": measure_freezing,
    "P3": measure_sending,
    "P5": measure_emergency,
    "P6": measure_collection,
    "P7": measure_summary,
    "P8": measure_finding,
    "P9": measure_reports,
    "P10": measure_import,
    "P12": measure_growth,
    "P13": measure_canceling,
    "P14": measure_searching,
}
