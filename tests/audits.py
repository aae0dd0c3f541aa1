"""What a certificate looks at, for tests that ask one part of it."""

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from pricing.audit.examination import Audit, count, examine
from pricing.audit.result import lay_out, number_names
from pricing.clearing import clear


def audit_of(market: MarketBook, clearing: Clearing | None = None) -> Audit:
    """A result laid over its book, that of `clear` unless another is given, which may lack rows."""
    counted = count(market)
    result = clear(market) if clearing is None else clearing
    named = number_names(result, market.bids["bid_id"], stock=counted.stock)
    return examine(counted, result, layout=lay_out(result, named, stock=counted.stock))
