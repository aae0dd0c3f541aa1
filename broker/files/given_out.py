"""An export as somebody takes it home: one file, or one archive of several, the same bytes every time."""

import io
import tempfile
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import msgspec

from broker.closing import CloseReport
from broker.files.settlement import read_settled, write_settlement
from broker.files.statement_pdf import statement_pdfs
from contracts.exports import FORMATS, export
from contracts.terms.errors import BadInput

CLOSE = "close"
PAPER = "statements"
ARCHIVE = "application/zip"
MEDIA_TYPES = {".csv": "text/csv", ".json": "application/json", ".txt": "text/plain", ".xml": "application/xml"}


class GivenOut(msgspec.Struct, frozen=True, kw_only=True):
    """A file with its name and media type."""

    name: str
    media_type: str
    content: bytes


def exported(report: CloseReport, format: str) -> dict[str, bytes]:
    """The files of one format, name → content; `close` are the published tables with the directory they are settled from.

    Raises BadInput for a format nobody knows, and where the close lacks what the format must say or has nothing it would say.
    """
    if format != CLOSE and format not in FORMATS:
        raise BadInput("there is no such format", found=format, would_do=", ".join((*FORMATS, CLOSE)))
    with tempfile.TemporaryDirectory() as folder:
        month, close = Path(folder, "month"), Path(folder, CLOSE)
        month.mkdir()
        for name, content in report.files.items():
            (month / name).write_bytes(content)
        copied = tuple(month / name for name in report.files if name != "usage.csv")
        write_settlement(close, report.settlement, record=report.record, copied=copied)
        if format == CLOSE:
            tables = {f"close/{path.name}": path.read_bytes() for path in sorted(close.iterdir())}
            return {f"month/{name}": content for name, content in report.files.items()} | tables
        settled = read_settled(close)
    files = export(settled, format) | (dict(statement_pdfs(settled)) if format == PAPER else {})
    if not files:
        raise BadInput(f"the close has nothing that {format} would say", found=format, would_do="another format")
    return files


def given_out(files: dict[str, bytes], *, name: str) -> GivenOut:
    """One file as it is, several in an archive that names no time but 1980, so that the same files are the same archive."""
    if len(files) == 1:
        [(only, content)] = files.items()
        return GivenOut(name=f"{name}{Path(only).suffix}", media_type=MEDIA_TYPES.get(Path(only).suffix, "text/plain"), content=content)
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for path, content in sorted(files.items()):
            archive.writestr(ZipInfo(path), content, ZIP_DEFLATED)
    return GivenOut(name=f"{name}.zip", media_type=ARCHIVE, content=out.getvalue())
