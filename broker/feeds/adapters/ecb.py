"""Exchange rates as the European Central Bank publishes them: a CSV file, one row a business day, units of a currency for one euro."""

import io
import zipfile
from bisect import bisect_right
from datetime import date
from decimal import Decimal, InvalidOperation, localcontext

import msgspec

from broker.feeds.adapters.fetching import fetch_bytes
from broker.feeds.adapters.sheet import Unread, read_sheet
from contracts.terms.errors import BadInput

ADDRESS = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip"
BASE = "EUR"
UNSAID = {"", "N/A"}
DIGITS = 28


class Rates(msgspec.Struct, frozen=True):
    """Units of each currency for one euro, day by day.

    days    by currency: the days it has a rate for, rising, and the rates of those days
    unread  cells that are no rate, and rows that are no day: row (from 0), reason, detail
    fault   why nothing could be read at all; empty when something could
    """

    days: dict[str, tuple[list[date], list[Decimal]]]
    unread: list[Unread]
    fault: str = ""

    def per_euro(self, currency: str, day: date) -> tuple[Decimal, date]:
        """Units of a currency for one euro on a day, and the day it was published: a day without a rate takes the last one before.

        Raises BadInput for a currency nobody quotes, and for a day before its first.
        """
        if currency == BASE:
            return Decimal(1), day
        days, rates = self.days.get(currency, ([], []))
        place = bisect_right(days, day) - 1
        if place < 0:
            raise BadInput("no exchange rate", found=f"{currency} on {day}", would_do="a currency and a day of the file")
        return rates[place], days[place]

    def exchange(self, market: str, day: date) -> dict[str, Decimal]:
        """Units of the market's currency for one unit of every other that has a rate by that day, 28 digits. Raises as `per_euro`."""
        units, _ = self.per_euro(market, day)
        with localcontext(prec=DIGITS):
            known = [name for name, (days, _) in self.days.items() if name != market and days[0] <= day]
            found = {name: units / self.per_euro(name, day)[0] for name in known}
            return found if market == BASE else {**found, BASE: units}


def fetch() -> bytes:
    """The whole history as CSV. Raises BadInput when it cannot be had. Needs the network."""
    try:
        with zipfile.ZipFile(io.BytesIO(fetch_bytes(ADDRESS))) as archive:
            return archive.read(archive.namelist()[0])
    except (zipfile.BadZipFile, IndexError) as error:
        raise BadInput("the exchange rates are not where they were", found=ADDRESS) from error


def parse(payload: bytes) -> Rates:
    """Rates from the file, in any order of days; of one day told twice the last row counts. Never raises."""
    header = payload.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode(errors="replace").strip().split(",")
    currencies = [name for name in dict.fromkeys(header) if len(name) == 3 and name.isascii() and name.isupper()]
    sheet = read_sheet(payload, ("Date",), optional=currencies)
    if sheet.fault:
        return Rates({}, [], sheet.fault)
    found: dict[str, dict[date, Decimal]] = {name: {} for name in currencies}
    unread = list(sheet.unread)
    for row in sheet.frame.iter_rows(named=True):
        try:
            day = date.fromisoformat(row["Date"] or "")
        except ValueError:
            unread.append((row["row"], "not a day", row["Date"] or ""))
            continue
        for name in currencies:
            rate = _rate(row[name])
            if rate is not None:
                found[name][day] = rate
            elif (row[name] or "").strip() not in UNSAID:
                unread.append((row["row"], "not a rate", f"{name} {row[name]}"))
    ordered = {name: sorted(rates.items()) for name, rates in found.items() if rates}
    return Rates({name: ([day for day, _ in rates], [rate for _, rate in rates]) for name, rates in ordered.items()}, unread)


def _rate(text: str | None) -> Decimal | None:
    """A positive rate within reason, or None."""
    try:
        rate = Decimal((text or "").strip())
    except InvalidOperation:
        return None
    return rate if rate.is_finite() and Decimal("1e-9") < rate < Decimal("1e9") else None
