"""The directories whose settlement is measured: `python -m tests.benchmarks.settlement ROWS DIRECTORY` makes them.

One month as one file (`month`), the same as segments (`segments`), and the same as a folder of files (`late`) that was closed
once (`before`) and to which rows have come since.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from tests.benchmarks.measuring import PYTHON, ROOT
from tests.benchmarks.settlement_months import MonthSpec, late_part, write_month

LATE_SHARE, LATE_CORRECTIONS = 0.005, 0.2


def prepare(rows: int, directory: Path) -> None:
    """Write and close them. Raises CalledProcessError when that fails."""
    spec = MonthSpec(rows=rows)
    one = write_month(spec, directory / "month")
    _gridfare("segments", one, "--to", directory / "segments")
    late = write_month(msgspec.structs.replace(spec, periods=spec.periods + 1, months_used=spec.periods), directory / "late", folder=True)
    _gridfare("settle", late, "--out", directory / "before", "--as-of", spec.periods, "--remember")
    late_part(spec, share=LATE_SHARE, corrections=LATE_CORRECTIONS).write_parquet(late / "usage" / "part-99999.parquet")


def _gridfare(*arguments: object) -> None:
    subprocess.run([PYTHON, "-m", "broker.cli", *map(str, arguments)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    prepare(int(sys.argv[1]), Path(sys.argv[2]))
