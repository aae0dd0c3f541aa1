"""What a closed month leaves on disk: the directory it was settled from, the result, and the exports finance teams take."""

from pathlib import Path

import msgspec

from broker.closing import CloseReport
from broker.files.replacing import replace_file
from broker.files.settlement import read_settled, write_settlement
from broker.files.statement_pdf import statement_pdfs
from contracts.exports import FORMATS, export


class Artefacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: `said` in words, a phrase each; `exports` by file name."""

    said: tuple[str, ...]
    exports: dict[str, bytes]


def write_artefacts(directory: Path, report: CloseReport) -> Artefacts:
    """Write `month/`, `close/` and `exports/` below a directory; e-invoices where the seller may issue them.

    `gridfare settle DIRECTORY/month --out ANYWHERE` gives the hash of a first close; a later one is chained with `--previous`.
    """
    month, close, exports = directory / "month", directory / "close", directory / "exports"
    for folder in (month, exports):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in report.files.items():
        replace_file(month / name, content)
    copied = tuple(month / name for name in report.files if name != "usage.csv")
    write_settlement(close, report.settlement, record=report.record, copied=copied)
    settled = read_settled(close)
    written: dict[str, bytes] = {}
    for format in (each for each in FORMATS if each != "ubl" or settled.seller.vat_id):
        written |= export(settled, format)
    for name, content in written.items():
        replace_file(exports / name, content)
    pages = 0
    for name, content in statement_pdfs(settled):
        replace_file(exports / name, content)
        pages += 1
    single = [name for name in written if not name.startswith("ubl-")]
    bundles = f"{len(written) - len(single)} e-invoices and {pages} statements as PDF"
    said = (f"{len(report.files)} tables in {month}", f"{', '.join(single)}, {bundles} in {exports}")
    return Artefacts(said=said, exports=written)
