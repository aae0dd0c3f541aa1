"""Golden and random months as published closes, for statements and exports."""

from contracts.close import close_record
from contracts.settlement import SettlementBook, settle
from contracts.statements import SettledBook
from tests.contracts.golden import golden_book
from tests.contracts.months import book_of, random_month


def published(book: SettlementBook) -> SettledBook:
    settled = settle(book)
    return SettledBook(
        record=close_record(settled, inputs={}),
        invoices=settled.invoices,
        lines=settled.lines,
        postings=settled.postings,
        payouts=settled.payouts,
        accounts=book.accounts,
        plans=book.plans,
        periods=book.periods,
    )


def golden(name: str) -> SettledBook:
    return published(golden_book(name))


def random_close(seed: int) -> SettledBook:
    return published(book_of(random_month(seed)))
