"""What one buyer needs to check her part of a clearing without the book: an extract.

It holds her own bid, its outcome and its awards; the way from their leaf to the published root; and, public anyway, the
facts and prices of the pools that her bid may use, and the tariffs and measurements that bear on them. Of other bids it
holds nothing, of offers neither quantity nor rate.
"""

import hashlib
from collections.abc import Iterable

import msgspec
import polars as pl

from contracts.terms.clearing import Certificate, Clearing
from contracts.terms.errors import BadInput, NotFound
from contracts.terms.orders import MarketBook, MarketRules
from contracts.terms.tables import AWARDS, BIDS, LATENCY, OFFERS, OUTCOMES, PRICES, TIERS, TRANSFER, ZONES, Column, Table
from pricing.merkle import leaf_hash, leaf_texts, merkle_path, merkle_root
from pricing.policy import standing_refusals
from pricing.policy_facts import Offer, facts_of, offers_of, read_bids

FORMAT = 1
Cell = str | int | float | bool | list[str] | None
Row = dict[str, Cell]
_SECRET: Row = {"quantity": 0, "rate_micros": 0, "node_size": 1, "provider": "", "energy_indexed": False}


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the leaf stands: its place among `count` leaves, and the hashes beside its way to the root, hexadecimal."""

    merkle_root: str
    index: int
    count: int
    path: list[str]


class PricedPool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pool the bid may use: what it is, without what its offers ask, and its published rate by tier and slot.

    offer    the public columns of `offers`; offer_id is the pool's name
    offers   the offers of the pool that served the bid
    rates    tier → micros per accelerator-hour by slot, None where none is published
    """

    offer: Row
    offers: list[str]
    rates: dict[str, list[int | None]]


class Extract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One buyer's part of a clearing; rows are those of the public tables.

    seal                SHA-256 of all the rest as it is written: what a slip in copying breaks
    path, approximate   as the certificate says them
    lumpy               whether the book holds blocks or work, beside which a best response is not promised to everyone
    """

    format: int
    seal: str
    path: str
    approximate: bool
    lumpy: bool
    rules: MarketRules
    proof: Proof
    bid: Row
    outcome: Row
    awards: list[Row]
    pools: list[PricedPool]
    zones: list[Row]
    latency: list[Row]
    transfer: list[Row] | None


def make_extract(book: MarketBook, clearing: Clearing, *, certificate: Certificate, bid_id: str) -> Extract:
    """The part of one bid in a clearing. Raises NotFound for a bid the book does not have."""
    ids, texts = leaf_texts(book, clearing)
    mine = book.bids.filter(pl.col("bid_id") == bid_id)
    if mine.is_empty():
        raise NotFound("no bid of the book has this id", bid=bid_id)
    leaves = [leaf_hash(text) for text in texts]
    index = ids.index(bid_id)
    awards = clearing.awards.filter(pl.col("bid_id") == bid_id)
    pools = _pools(book, clearing, mine=mine, served=awards["offer_id"].to_list())
    sites = {pool.offer["site"] for pool in pools}
    zones = {pool.offer["zone"] for pool in pools}
    origin, place = mine["data_country"][0], mine["place"][0]
    extract = Extract(
        format=FORMAT,
        seal="",
        path=certificate.path,
        approximate=certificate.approximate,
        lumpy=bool(((book.bids["kind"] == "block") | (book.bids["semantics"] == "work")).any()),
        rules=book.rules,
        proof=Proof(merkle_root=merkle_root(leaves), index=index, count=len(leaves), path=merkle_path(leaves, index)),
        bid=rows_of_table(BIDS, mine)[0],
        outcome=rows_of_table(OUTCOMES, clearing.outcomes.filter(pl.col("bid_id") == bid_id))[0],
        awards=rows_of_table(AWARDS, awards),
        pools=pools,
        zones=rows_of_table(ZONES, book.zones.filter(pl.col("zone").is_in(list(zones)))),
        latency=rows_of_table(LATENCY, book.latency.filter((pl.col("place") == (place or "")) & pl.col("site").is_in(list(sites)))),
        transfer=None if book.transfer is None else rows_of_table(TRANSFER, book.transfer.filter(pl.col("from_country") == (origin or ""))),
    )
    return msgspec.structs.replace(extract, seal=seal_of(extract))


def seal_of(extract: Extract) -> str:
    """The seal that an extract should bear, hexadecimal."""
    return hashlib.sha256(extract_text(msgspec.structs.replace(extract, seal="")).encode()).hexdigest()


def extract_text(extract: Extract) -> str:
    """An extract as the file it is kept in: JSON, a line an entry."""
    return msgspec.json.format(msgspec.json.encode(extract), indent=1).decode() + "\n"


def read_extract(text: bytes, *, file: str) -> Extract:
    """The extract in a file of that name. Raises BadInput when it is none."""
    try:
        return msgspec.json.decode(text, type=Extract)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadInput(f"the file is not an extract: {error}", file=file, would_do="a file written by `gridfare verify --to`") from error


def _pools(book: MarketBook, clearing: Clearing, *, mine: pl.DataFrame, served: Iterable[str]) -> list[PricedPool]:
    """The pools whose standing clauses the bid meets, in order of their names."""
    (bid,), facts = read_bids(mine), facts_of(book)
    members: dict[tuple[object, ...], list[str]] = {}
    heads: dict[tuple[object, ...], Offer] = {}
    for offer in sorted(offers_of(book), key=lambda offer: offer.id):
        heads.setdefault(offer.likeness, offer)
        members.setdefault(offer.likeness, []).append(offer.id)
    open_ = {offer.id: members[likeness] for likeness, offer in heads.items() if not standing_refusals(bid, offer, facts=facts)}
    rows = {str(row["offer_id"]): row for row in rows_of_table(OFFERS, book.offers.filter(pl.col("offer_id").is_in(list(open_))))}
    rates = _rates(clearing.prices.filter(pl.col("pool").is_in(list(open_))), slots=facts.slots)
    used = set(served)
    return [
        PricedPool(
            offer={name: cell for name, cell in rows[name_of_pool].items() if name not in _SECRET and not name.startswith("slot_")},
            offers=[offer for offer in offers if offer in used],
            rates=rates.get(name_of_pool, {}),
        )
        for name_of_pool, offers in open_.items()
    ]


def _rates(prices: pl.DataFrame, *, slots: int) -> dict[str, dict[str, list[int | None]]]:
    """pool → tier → published rate by slot."""
    found: dict[str, dict[str, list[int | None]]] = {}
    for pool, slot, tier, rate in prices.select("pool", "slot", "tier", "rate_micros").sort("pool", "tier", "slot").iter_rows():
        found.setdefault(pool, {}).setdefault(tier, [None] * slots)[slot] = rate
    return found


def rows_of_table(table: Table, frame: pl.DataFrame) -> list[Row]:
    """Rows of a table as plain cells, times as ISO 8601 text with Z."""
    written = frame.select(_plain(column) for column in table.columns)
    return written.to_dicts()


def table_of_rows(table: Table, rows: list[Row]) -> pl.DataFrame:
    """The frame that such rows are of.

    Raises polars' errors or TypeError for cells of another kind, ValueError for one that must not be empty.
    """
    texts = {column.name: pl.String() if column.kind == "time" else column.dtype for column in table.columns}
    frame = pl.DataFrame(rows, schema=texts, orient="row", strict=True)
    empty = [column.name for column in table.columns if not column.nullable and frame[column.name].null_count()]
    if empty:
        raise ValueError(f"{table.name} lack {', '.join(empty)}")
    return frame.with_columns(
        pl.col(column.name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us").dt.replace_time_zone("UTC")
        for column in table.columns
        if column.kind == "time"
    )


def book_of(extract: Extract) -> MarketBook:
    """The small book an extract is: the one bid, and its pools as offers of nothing at no rate. Raises BadInput where it is none."""
    try:
        return _book_of(extract)
    except (pl.exceptions.PolarsError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"the rows of the extract cannot be read: {error}", would_do="the file as it was written") from error


def _book_of(extract: Extract) -> MarketBook:
    span: Row = {"slot_first": 0, "slot_end": extract.rules.slots}
    offers: list[Row] = [{**_SECRET, **span, **pool.offer} for pool in extract.pools]
    return MarketBook(
        rules=extract.rules,
        offers=table_of_rows(OFFERS, offers),
        bids=table_of_rows(BIDS, [extract.bid]),
        zones=table_of_rows(ZONES, extract.zones),
        latency=table_of_rows(LATENCY, extract.latency),
        transfer=None if extract.transfer is None else table_of_rows(TRANSFER, extract.transfer),
    )


def price_rows(extract: Extract) -> pl.DataFrame:
    """The published rates an extract holds: pool, slot, tier, rate_micros, sorted so."""
    rows = [
        {"pool": pool.offer["offer_id"], "slot": slot, "tier": tier, "rate_micros": rate}
        for pool in extract.pools
        for tier in TIERS
        for slot, rate in enumerate(pool.rates.get(tier, []))
        if rate is not None
    ]
    schema = {name: PRICES.schema[name] for name in ("pool", "slot", "tier", "rate_micros")}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("pool", "slot", "tier")


def _plain(column: Column) -> pl.Expr:
    cell = pl.col(column.name)
    return cell.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ") if column.kind == "time" else cell
