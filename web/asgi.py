"""The site: the API of a market with the portal's pages beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.datastructures import CacheControlHeader, State
from litestar.plugins.htmx import HTMXPlugin
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig
from litestar.types import ControllerRouterHandler

from broker.app import OpenServices
from broker.application import application
from broker.identity_provider import IdentityProvider
from broker.services.views import ShownKey
from broker.world import catalogue
from contracts.terms.errors import MarketError, NotFound, NotSignedIn
from web import i18n
from web.formats import FILTERS
from web.pages import (
    account,
    account_elsewhere,
    account_entry,
    account_projects,
    developers,
    finance,
    finance_corrections,
    finance_lines,
    finance_money,
    finance_payment,
    lease_door,
    operator,
    provider,
    refusals,
)
from web.pages.bids import bid_list, bid_page, withdraw_bid
from web.pages.find import find
from web.pages.kept import Kept
from web.pages.lease_resale import resale_form, resell_lease, withdraw_resale
from web.pages.leases import lease_list, lease_page, release_lease
from web.pages.market import chart_svg, market_now, table, table_csv
from web.pages.market_live import latest_messages, market_events, next_gate, next_prices
from web.pages.new_bid import BackToForm, back_to_form, bid_form, enter_bid
from web.pages.quotes import QuoteRefused, accept_quote, hold_quote, leave_quote, quote_list, quote_page, quote_refused
from web.pages.refusals import no_buyer, problem_page, refusal_page
from web.pages.signing import sign_in, sign_in_form, sign_out, to_sign_in
from web.pages.spend import set_budget, spend_csv, spend_page
from web.pages.spend_project import project_page
from web.pages.statements import statement_csv, statement_list, statement_page, statement_paper

HERE = Path(__file__).parent
STATIC_SECONDS = 3600
# Only what carries no token of a signed-in reader: packed together with what an address says, its length would give it away.
# A stream is not packed either: its words would wait until there are enough of them.
PACKED = CompressionConfig(backend="gzip", gzip_compress_level=9, exclude=[r"^/(?!static/|market/(?!events$)|$)"])
MARKET_PAGES = (market_now, market_events, next_gate, next_prices, latest_messages, table, table_csv, chart_svg)
PAGES = (*MARKET_PAGES, find, problem_page, sign_in_form, sign_in, sign_out)
OWN_PAGES = (
    bid_form,
    enter_bid,
    bid_list,
    bid_page,
    withdraw_bid,
    hold_quote,
    quote_list,
    quote_page,
    accept_quote,
    leave_quote,
    lease_list,
    lease_page,
    release_lease,
    lease_door.extend_lease,
    resale_form,
    resell_lease,
    withdraw_resale,
    spend_page,
    spend_csv,
    set_budget,
    project_page,
    statement_list,
    statement_page,
    statement_csv,
    statement_paper,
)
FINANCE_PAGES = (
    finance.desk,
    finance.period_page,
    finance.preview,
    finance.collect,
    finance.take_step,
    finance_lines.invoice_page,
    finance_lines.invoice_paper,
    finance_lines.advice_paper,
    finance_lines.line_page,
    finance_lines.line_csv,
    finance_lines.export_month,
    finance_corrections.propose_correction,
    finance_payment.payment_page,
    finance_payment.refund,
    finance_money.receivables_page,
    finance_money.dun,
    finance_money.decide_correction,
    finance_money.decide_dispute,
    finance_money.payouts_page,
    finance_money.propose_run,
    finance_money.act_on_run,
    finance_money.books_page,
    finance_money.trail_page,
    finance_money.trail_csv,
)
OPERATOR_PAGES = (
    operator.desk,
    operator.cycle_page,
    operator.check_cycle,
    operator.providers_page,
    operator.quarantine_page,
    operator.release_offer,
    operator.incidents_page,
    operator.rules_page,
)
PROVIDER_PAGES = (
    provider.desk,
    provider.offer_page,
    provider.income_page,
    provider.statement_page,
    provider.statement_paper,
    provider.feed_page,
)


class OpensServices(Protocol):
    """What a site needs of a market."""

    @property
    def services(self) -> OpenServices:
        """Opens one unit of work and gives its services."""
        ...

    @property
    def identity(self) -> IdentityProvider | None:
        """Who else vouches for people; None where nobody does."""
        ...

    @property
    def shown_keys(self) -> Sequence[ShownKey]:
        """Keys anybody may use, for the sign-in page; none in a real market."""
        ...


def site(market: OpensServices) -> Litestar:
    """The API and the portal of one market."""
    kept = CacheControlHeader(public=True, max_age=STATIC_SECONDS)
    static = create_static_files_router(path="/static", directories=[HERE / "static"], include_in_schema=False, cache_control=kept)
    own = Router(
        "/",
        route_handlers=OWN_PAGES,
        exception_handlers={NotSignedIn: to_sign_in, BackToForm: back_to_form, QuoteRefused: quote_refused, NotFound: no_buyer},
    )
    state = State(
        {
            "identity": market.identity,
            "kept": Kept(),
            "pages": Kept(),
            "countries": dict(catalogue.countries().select("country", "name").iter_rows()),
            "places": list(catalogue.places().sort("name").select("place", "name").iter_rows()),
            "shown_keys": list(market.shown_keys),
            "stacks": sorted({each.vendor for each in catalogue.hardware_classes().values()}),
        }
    )
    desks = [
        _refusing_router(FINANCE_PAGES, finance.REFUSING),
        _refusing_router(OPERATOR_PAGES, operator.REFUSING),
        _refusing_router(PROVIDER_PAGES, provider.REFUSING),
        _refusing_router((*account_entry.PAGES, *account_elsewhere.PAGES, *account.PAGES, *account_projects.PAGES), account.REFUSING),
        _refusing_router(developers.PAGES, developers.REFUSING),
    ]
    whole = application(
        market.services,
        [*PAGES, own, *desks, static],
        plugins=[HTMXPlugin()],
        refusal_page=refusal_page,
        configure={"template_config": _templates(), "state": state, "compression_config": PACKED},
    )
    # Around everything, so that what is not there is said in the reader's language too.
    whole.asgi_handler = i18n.Languages()(whole.asgi_handler)
    return whole


def _refusing_router(handlers: Sequence[ControllerRouterHandler], desk: refusals.Desk) -> Router:
    return Router("/", route_handlers=handlers, exception_handlers={NotSignedIn: to_sign_in, MarketError: refusals.refused_at(desk)})


def _templates() -> TemplateConfig[JinjaTemplateEngine]:
    return TemplateConfig(directory=HERE / "templates", engine=JinjaTemplateEngine, engine_callback=_furnish)


def _furnish(engine: JinjaTemplateEngine) -> None:
    """Give templates the formats and the languages."""
    jinja = engine.engine
    jinja.filters.update(FILTERS)
    jinja.globals.update(switches=i18n.switches, html_language=i18n.html_language)
    jinja.trim_blocks = jinja.lstrip_blocks = True
    jinja.add_extension("jinja2.ext.i18n")
    jinja.policies["ext.i18n.trimmed"] = True
    counted = lambda one, many, num: i18n.found_plural(one, many, num=num)  # noqa: E731 (called by position, as gettext always was)
    jinja.install_gettext_callables(i18n.found, counted, newstyle=True)  # type: ignore[attr-defined]
