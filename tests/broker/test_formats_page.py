"""The manual's page on formats says of every table what the code declares."""

import re
from pathlib import Path

import msgspec
import pytest

from broker.files import market_toml
from contracts.terms.clearing import Certificate, Clearing
from contracts.terms.orders import MarketRules
from contracts.terms.tables import MARKET_TABLES, RESULT_TABLES, Table
from pricing.certificate import certify, verify
from pricing.clearing import clear
from tests.builders import a_bid, an_offer, book

PAGE = (Path(__file__).resolve().parents[2] / "infra" / "docs" / "formats.md").read_text(encoding="utf-8")


def section(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, its head left out."""
    body = re.split(r"^#+ ", PAGE.split(f" {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("table", [*MARKET_TABLES, *RESULT_TABLES], ids=lambda table: table.name)
def test_columns_kinds_and_defaults_are_those_declared(table: Table):
    rows = section(f"`{table.name}`{' (optional)' if table.optional else ''}")
    assert [(name, kind) for name, kind, *_ in rows] == [(column.name, column.kind) for column in table.columns]
    if table in MARKET_TABLES:
        for (name, _, default, _), column in zip(rows, table.columns, strict=True):
            assert (default == "needed") == column.required, name
            if isinstance(column.default, int | float) and not isinstance(column.default, bool):
                assert float(default) == float(column.default), name
    for (*_, meaning), column in zip(rows, table.columns, strict=True):
        assert all(word in meaning for word in column.one_of), column.name


def test_settings_are_those_of_the_rules():
    rows = {name: default for name, default, _ in section("`market.toml`")}
    fields = {field.name: field for field in msgspec.structs.fields(MarketRules)}
    assert set(rows) == set(fields)
    assert {name for name, default in rows.items() if default == "needed"} == {name for name, field in fields.items() if field.required}
    assert market_toml.FILE == "market.toml"


def test_every_check_is_described():
    market = book(offers=[an_offer()], bids=[a_bid(limit_spot_micros=2_000_000)])
    clearing: Clearing = clear(market)
    stored: Certificate = certify(market, clearing, path="convex")
    named = [name for row in section("The checks") for name in row[0].split(", ")]
    assert [check.name for check in verify(market, clearing, stored=stored).checks] == named
