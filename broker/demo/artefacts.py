"""What a closed month leaves on disk: the directory it was settled from, the result, and the exports finance teams take."""

from pathlib import Path

from broker.closing import CloseReport
from broker.files.replacing import replace_file
from broker.files.settlement import read_settled, write_settlement
from contracts.exports import export

FORMATS = ("focus", "beancount", "hledger", "statements", "pain001")


def write_artefacts(directory: Path, report: CloseReport) -> list[str]:
    """Write `month/`, `close/` and `exports/` below a directory; says what was written, a phrase each.

    `gridfare settle DIRECTORY/month --out ANYWHERE` gives the same close hash.
    """
    month, close, exports = directory / "month", directory / "close", directory / "exports"
    for folder in (month, exports):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in report.files.items():
        replace_file(month / name, content)
    copied = tuple(month / name for name in report.files if name != "usage.csv")
    write_settlement(close, report.settlement, record=report.record, copied=copied)
    settled = read_settled(close)
    written = []
    for format in FORMATS:
        for name, content in export(settled, format).items():
            replace_file(exports / name, content)
            written.append(name)
    return [f"{len(report.files)} tables in {month}", f"{', '.join(written)} in {exports}"]
