"""What somebody looks for, as the fields of a form: read into a search, and written back into an address."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from broker.services.queries import read_query
from broker.services.search_views import SearchQuery
from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS, half_up
from web.i18n import gettext
from web.pages.order_form import Fields
from web.pages.runs import RUN_FIELDS

# Fields of a search that its form takes as a person writes them.
OWN_FIELDS = ("budget", *RUN_FIELDS)
MOMENTS = ("ready_by", "free_from")
FIELDS = (*OWN_FIELDS, *(name for name in SearchQuery.__struct_fields__ if name not in ("cursor", "rate_max_micros")))


def wanted(given: Fields) -> SearchQuery:
    """The form's fields as a search. Raises BadInput or msgspec.ValidationError naming the field.

    `budget` is in currency units; moments without a zone are UTC, as the form says beside them.
    """
    fields = {name: list(values) for name, values in given.items() if name not in RUN_FIELDS}
    if budget := fields.pop("budget", None):
        fields["rate_max_micros"] = [str(_micros(budget[-1]))]
    fields |= {name: [_utc(fields[name][-1])] for name in MOMENTS if name in fields}
    return read_query(fields, SearchQuery)


def search_fields(sent: Fields) -> list[tuple[str, str]]:
    """The fields of a search among everything a form sent, as pairs of an address."""
    return [(name, value) for name in FIELDS for value in sent.get(name, ()) if value.strip()]


def _micros(text: str) -> int:
    try:
        amount = Decimal(text.replace(",", "."))
    except InvalidOperation as error:
        raise BadInput(gettext("the budget is a number, such as 2.50"), found=text) from error
    if not amount.is_finite() or not 0 <= amount <= MICROS:
        raise BadInput(gettext("the budget is between 0 and 1,000,000 an hour"), found=text)
    return half_up(*(amount * MICROS).as_integer_ratio())


def _utc(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(gettext("a time is a date and a time of day, such as 2027-01-31T18:00"), found=text) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
