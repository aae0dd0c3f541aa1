"""The program run in this process: what it said and how it ended."""

from typing import NamedTuple

import pytest

from broker.cli import main


class Ended(NamedTuple):
    """Exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    """Run `gridfare` on some arguments."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return Ended(int(end.value.code or 0), said.out, said.err)
