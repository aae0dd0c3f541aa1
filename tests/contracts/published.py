"""Golden and random months as published closes, for statements and exports."""

from functools import cache

import msgspec
import polars as pl

from contracts.close import close_record
from contracts.ledger_tables import PARTIES, PROVIDERS
from contracts.settlement import SettlementBook, settle
from contracts.statements import Seller, SettledBook
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


@cache
def golden(name: str) -> SettledBook:
    return published(golden_book(name))


def random_close(seed: int) -> SettledBook:
    return published(book_of(random_month(seed)))


def addressed(book: SettledBook) -> SettledBook:
    """The same close with all that banks and tax offices ask for; every second provider has no IBAN."""
    accounts = book.accounts.select("account_id", "name").iter_rows()
    parties = [(account, f"{name} & Sons", "2 rue des Champs, 75001 Paris", "FR", "FR12345678901") for account, name in accounts]
    providers = [
        (provider, f"Grid {provider}", "DE", None if number % 2 else "DE89 3704 0044 0532 0130 00", None if number % 2 else "COBADEFFXXX")
        for number, provider in enumerate(book.payouts["provider_id"].unique().sort())
    ]
    return msgspec.structs.replace(
        book,
        parties=pl.DataFrame(parties, schema=PARTIES.schema, orient="row"),
        providers=pl.DataFrame(providers, schema=PROVIDERS.schema, orient="row"),
        seller=Seller(
            name="Gridfare",
            address="1 Market Place, 10115 Berlin",
            country="DE",
            vat_id="DE123456789",
            iban="GB82 WEST 1234 5698 7654 32",
            bic="WESTGB22",
        ),
    )
