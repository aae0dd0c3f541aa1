"""What finance reads of a closed month and takes home, on the small market: 16.00 of usage, 0.16 of take, 19.23 with tax."""

import io
import zipfile

import msgspec
import pytest
from sqlalchemy import text

from broker.files.given_out import given_out
from broker.services.views import Caller
from broker.store.repositories.settlements import SettlementRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.exports import FORMATS
from contracts.statements import Seller
from contracts.terms.errors import BadInput, NotFound, NotPermitted, WrongState
from tests.broker.small_market import USD, caller
from tests.broker.test_closing import CLOSES_AT, FAITHFUL, MONTH, PEOPLE, delivered_market

pytestmark = pytest.mark.anyio
READER = Caller(account_id="staff:eve", account_name="Eve", scopes=frozenset({"finance:read"}))
ADA = msgspec.structs.replace(READER, account_id="staff:ada", scopes=frozenset({"finance:read", "finance:write"}))


async def closed_market(sessions: Sessions):
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)
    return market


async def test_a_line_is_traced_to_the_records_in_the_store(sessions: Sessions):
    market = await closed_market(sessions)
    async with market.services() as services:
        invoice = await services.finance.issued_to("acct_a", 1, caller=READER)
        numbers = {line.kind: number for number, line in enumerate(invoice.lines, 1)}
        usage = await services.treasury.trace(1, "acct_a", line=numbers["usage"], caller=READER)
        take = await services.treasury.trace(1, "acct_a", line=numbers["take"], caller=READER)
        with pytest.raises(NotFound):
            await services.treasury.trace(1, "acct_a", line=3, caller=READER)
        with pytest.raises(NotPermitted):
            await services.treasury.trace(1, "acct_a", line=1, caller=caller("acct_a"))
    assert (usage.seconds, usage.amount_micros, len(usage.records)) == (16 * 3600, 16 * USD, 2)
    assert (take.seconds, take.amount_micros) == (16 * 3600, 160_000)


async def test_finance_sees_what_was_issued_and_what_is_owed(sessions: Sessions):
    market = await closed_market(sessions)
    async with market.services() as services:
        assert [each.payable_cents for each in await services.finance.issued(1, READER)] == [1923]
        [advice] = await services.finance.advices(1, READER)
        assert (advice.provider_name, advice.net_micros, advice.month_start) == ("A", 16 * USD, MONTH.start)
        [debt] = await services.receivables.debts(READER)
        assert (debt.account_id, debt.micros) == ("acct_a", 19_230_000)
        record = await services.treasury.record(1, READER)
        assert record is not None
        assert record.holds
        for paper in (
            await services.treasury.issued_paper(1, "acct_a", caller=READER),
            await services.treasury.advice_paper(1, "prv_a", currency="USD", caller=READER),
        ):
            assert paper.startswith(b"%PDF")


async def test_an_export_is_the_same_bytes_and_is_noted_once(sessions: Sessions):
    market = await closed_market(sessions)
    desk = market.close()
    async with market.services() as services:
        with pytest.raises(NotPermitted):
            await services.treasury.export(1, "focus", caller=READER)
        with pytest.raises(WrongState):
            await services.treasury.export(2, "focus", caller=ADA)
        with pytest.raises(BadInput):
            await services.treasury.export(1, "spreadsheet", caller=ADA)
        given = [await services.treasury.export(1, "focus", caller=ADA) for _ in range(2)]
        close = await services.treasury.export(1, "close", caller=ADA)
    assert given[0] == given[1]
    assert [(act.act, act.actor) for act in (await desk.period(1)).history[-2:]] == [("exported", "staff:ada")] * 2
    names = zipfile.ZipFile(io.BytesIO(close.content)).namelist()
    assert {"month/usage.csv", "close/close.json", "close/invoices.csv"} <= set(names)


@pytest.mark.parametrize("format", FORMATS)
async def test_every_format_comes_out_of_the_store(sessions: Sessions, format):
    """All but UBL, which needs the addresses of both parties, and says so."""
    market = await closed_market(sessions)
    async with market.services() as services:
        if format == "ubl":
            with pytest.raises(BadInput, match="seller"):
                await services.treasury.export(1, format, caller=ADA)
        else:
            assert (await services.treasury.export(1, format, caller=ADA)).content


async def test_an_e_invoice_names_both_parties(sessions: Sessions):
    market = await closed_market(sessions)
    async with unit_of_work(sessions) as work:
        await SettlementRepository(work).name_seller(Seller(name="G", address="Quay 2, Amsterdam", country="NL", vat_id="NL000000000B00"))
        await work.execute(text("UPDATE accounts SET legal_name = 'A GmbH', address = 'Weg 1, Berlin', vat_id = 'DE123456789'"))
    async with market.services() as services:
        invoice = (await services.treasury.export(1, "ubl", caller=ADA)).content.decode()
        paper = await services.treasury.issued_paper(1, "acct_a", caller=READER)
    assert all(words in invoice for words in ("A GmbH", "Weg 1, Berlin", "DE123456789", "NL000000000B00", ">19.23<"))
    assert paper.startswith(b"%PDF")


async def test_an_archive_tells_no_time():
    given = [given_out({"b.csv": b"2", "a.csv": b"1"}, name="x") for _ in range(2)]
    assert given[0] == given[1]
    assert zipfile.ZipFile(io.BytesIO(given[0].content)).namelist() == ["a.csv", "b.csv"]
