"""What one cell alone cannot show: keys said twice, names of nothing, windows, limits, factors, countries, leases.

Every check adds faults with their rows to the findings of a reading, and trusts that the frames have their columns
and types.
"""

from fractions import Fraction

import polars as pl

from broker.files.faults import Findings
from contracts.terms.orders import MarketRules
from contracts.terms.tables import BIDS, COMMITMENTS, MARKET_TABLES, OFFER_SLOTS, OFFERS, TIERS, ZONES, Table

COUNTRY = "^[A-Z]{2}$"
HARDWARE = r"^\S(.*\S)?:[0-9]+(\.[0-9]{1,6})?$"
COUNTRY_COLUMNS = {
    "offers": ("country", "operator_country", "parent_country", "chip_origin", "open_to", "closed_to"),
    "bids": (
        "buyer_country",
        "buyer_parent_country",
        "countries",
        "operator_countries",
        "countries_denied",
        "chip_origins_denied",
        "data_country",
    ),
    "transfer": ("from_country", "to_country"),
}
DEGREES = {"latitude": 90, "longitude": 180}

Frames = dict[str, pl.DataFrame]
Names = dict[str, str]


class MarketChecks:
    """The checks across cells, rows and tables of one market directory.

    frames     tables that were read, by name
    files      the file each came from, by name
    """

    def __init__(self, frames: Frames, files: Names, *, rules: MarketRules, findings: Findings) -> None:
        self._frames = frames
        self._files = files
        self._rules = rules
        self._findings = findings

    def run(self) -> None:
        """Make every check, table by table."""
        for table in MARKET_TABLES:
            if table.name in self._frames:
                self._check_blanks(table)
                self._check_keys(table)
                self._check_countries(table)
        self._check_orders()
        self._check_offers()
        self._check_bids()
        self._check_hardware()
        self._check_facts()
        self._check_commitments()

    def _fault_rows(self, table: Table, wrong: pl.Expr, *, message: str, column: str, would_do: str) -> None:
        """One fault for every row of a table where the expression is true."""
        frame = self._frames.get(table.name)
        if frame is None:
            return
        numbered = frame.with_row_index("row", offset=1).filter(wrong.fill_null(value=False))
        for row, cell in zip(numbered["row"], numbered[column], strict=True):
            found = ";".join(cell) if isinstance(cell, pl.Series | list) else None if cell is None else str(cell)
            self._findings.fault(message, file=self._files[table.name], row=row, column=column, found=found, would_do=would_do)

    def _check_blanks(self, table: Table) -> None:
        for column in (column for column in table.columns if column.kind == "text" and not column.nullable):
            self._fault_rows(table, pl.col(column.name) == "", message="the cell is empty", column=column.name, would_do="a text")

    def _check_keys(self, table: Table) -> None:
        key = pl.struct(table.key)
        first = key.is_first_distinct()
        self._fault_rows(table, ~first, message=f"the {' and '.join(table.key)} came before", column=table.key[-1], would_do="each once")

    def _check_countries(self, table: Table) -> None:
        for column in COUNTRY_COLUMNS.get(table.name, ()):
            cell = pl.col(column)
            is_list = table.column(column).kind == "list"
            known = cell.list.eval(pl.element().str.contains(COUNTRY)).list.all() if is_list else cell.str.contains(COUNTRY)
            self._fault_rows(
                table, ~known, message="this is no country code", column=column, would_do="two capitals of ISO 3166-1, e.g. SE"
            )

    def _check_orders(self) -> None:
        """Windows and positions of offers and bids."""
        slots = self._rules.slots
        for table in (OFFERS, BIDS):
            first, end = pl.col("slot_first"), pl.col("slot_end")
            self._fault_rows(
                table, end > slots, message="the window ends after the last slot", column="slot_end", would_do=f"at most {slots}"
            )
            self._fault_rows(table, first >= end, message="the window is empty", column="slot_first", would_do="a slot before slot_end")
            for column, most in DEGREES.items():
                outside = pl.col(column).abs() > most
                self._fault_rows(
                    table, outside, message="this is no position on Earth", column=column, would_do=f"degrees from -{most} to {most}"
                )
        for table in (OFFER_SLOTS, COMMITMENTS, ZONES):
            self._fault_rows(table, pl.col("slot") >= slots, message="there is no such slot", column="slot", would_do=f"0 to {slots - 1}")

    def _check_offers(self) -> None:
        self._fault_rows(OFFERS, pl.col("uptime") > 100, message="uptime is a percentage", column="uptime", would_do="at most 100")
        offers = self._frames["offers"]["offer_id"].to_list()
        for table in (OFFER_SLOTS, COMMITMENTS):
            stranger = ~pl.col("offer_id").is_in(offers)
            self._fault_rows(table, stranger, message="no offer has this id", column="offer_id", would_do="an offer_id of the offers")

    def _check_bids(self) -> None:
        limits = [pl.col(f"limit_{tier}_micros").is_null() for tier in TIERS]
        self._fault_rows(
            BIDS,
            pl.all_horizontal(limits),
            message="the bid wants no tier",
            column="limit_spot_micros",
            would_do="a limit at one tier at least",
        )
        self._fault_rows(BIDS, pl.col("hours") <= 0, message="the bid wants no hours", column="hours", would_do="more than 0")
        self._fault_rows(
            BIDS, pl.col("sites_max") > 1, message="virtual clusters are not cleared yet", column="sites_max", would_do="1 (one site)"
        )
        slot_hours = self._rules.hours
        running = (pl.col("kind") == "block") & (pl.col("hours") != 0) & (pl.col("width") != 0)
        blocks = self._frames["bids"].with_row_index("row", offset=1).filter(running)
        for row, hours, width in blocks.select("row", "hours", "width").iter_rows():
            run = Fraction(repr(hours)) / width / slot_hours
            if run.denominator != 1:
                self._findings.fault(
                    f"a block runs hours ÷ width ÷ slot_hours slots, which is {run} here",
                    file=self._files["bids"],
                    row=row,
                    column="hours",
                    found=str(hours),
                    would_do=f"a multiple of {float(width * slot_hours)}",
                )

    def _check_hardware(self) -> None:
        cell = pl.col("hardware")
        sound = cell.list.eval(pl.element().str.contains(HARDWARE) & ~pl.element().str.contains(r":0+(\.0+)?$"))
        names = cell.list.eval(pl.element().str.replace(r":[^:]*$", ""))
        wrong = ~sound.list.all() | (cell.list.len() == 0)
        would_do = "CLASS:factor, e.g. H100-SXM:1.05, a factor above 0 of at most six decimals"
        self._fault_rows(BIDS, wrong, message="hardware is not named like this", column="hardware", would_do=would_do)
        twice = names.list.n_unique() < names.list.len()
        self._fault_rows(BIDS, twice, message="a hardware class is named twice", column="hardware", would_do="each class once")

    def _check_facts(self) -> None:
        transfer = next(table for table in MARKET_TABLES if table.name == "transfer")
        self._fault_rows(
            transfer, pl.col("gbps") <= 0, message="nothing ever arrives", column="gbps", would_do="more than 0 Gb/s, or no such pair"
        )
        self._fault_rows(
            ZONES, pl.col("renewable_share") > 1, message="a share is at most 1", column="renewable_share", would_do="a number from 0 to 1"
        )

    def _check_commitments(self) -> None:
        """Leases in force may not hold more than their offer has in the slot."""
        commitments = self._frames.get("commitments")
        if commitments is None or commitments.is_empty():
            return
        own = self._frames["offers"].select("offer_id", "slot_first", "slot_end", pl.col("quantity").alias("own"))
        overrides = self._frames.get("offer_slots", OFFER_SLOTS.empty()).select("offer_id", "slot", pl.col("quantity").alias("override"))
        inside = (pl.col("slot") >= pl.col("slot_first")) & (pl.col("slot") < pl.col("slot_end"))
        held = (
            commitments.with_row_index("row", offset=1)
            .join(own.unique("offer_id"), on="offer_id", how="inner", maintain_order="left")
            .join(overrides.unique(["offer_id", "slot"]), on=["offer_id", "slot"], how="left", maintain_order="left")
            .with_columns(
                pl.col("quantity").cum_sum().over("offer_id", "slot").alias("held"),
                pl.when(inside).then(pl.coalesce("override", "own")).otherwise(0).alias("there"),
            )
            .filter(pl.col("held") > pl.col("there"))
        )
        for row, total, there in held.select("row", "held", "there").iter_rows():
            self._findings.fault(
                "leases hold more than the offer has in the slot",
                file=self._files["commitments"],
                row=row,
                column="quantity",
                found=f"{total} in all",
                would_do=f"at most {there}",
            )
