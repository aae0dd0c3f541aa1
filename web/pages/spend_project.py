"""One project's spend: a month of it lease by lease, and its budget."""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from broker.app import Services
from broker.services.projects import SCOPE
from broker.services.views import Caller
from contracts.terms.accounts import DEFAULT_PROJECT
from web.formats import money, month
from web.i18n import gettext, later
from web.pages.finance import origin
from web.pages.signing import NO_STORE, AnyRequest, marks, page_caller

OfPeriod = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1)]
DEFAULT = later("Default project")
BUYS = "bids:write"


def project_words(project_id: str, name: str) -> str:
    """What a project is called on a page."""
    return gettext(DEFAULT) if project_id == DEFAULT_PROJECT else name


async def projects_to_buy_for(services: Services, caller: Caller | None) -> list[tuple[str, str]]:
    """Id and name of each project the reader may buy for; nothing where there is only one, which nobody has to know of."""
    views = await services.projects.projects(caller) if caller is not None and BUYS in caller.scopes else []
    found = [(each.project_id, project_words(each.project_id, each.name)) for each in views if each.may_buy]
    return found if len(found) > 1 else []


@get("/spend/projects/{project:str}", include_in_schema=False)
async def project_page(
    project: FromPath[str], request: AnyRequest, *, services: NamedDependency[Services], period: OfPeriod = None
) -> Template:
    """What a project's leases come to in a month, the dearest first."""
    caller = await page_caller(request, services)
    spend = await services.spending.project(project, caller, period=period)
    whole = await services.spending.spend(caller)
    name = project_words(spend.project_id, spend.name)
    facts = {"project": name, "amount": money(spend.micros), "currency": spend.currency, "month": month(spend.month_start)}
    context = {
        "caller": caller,
        "spend": spend,
        "name": name,
        "finding": gettext("%(project)s: %(amount)s %(currency)s in %(month)s", **facts),
        "figures": next(each for each in whole.projects if each.project_id == spend.project_id),
        "months": whole.months,
        "present": whole.months[-1].period,
        "budget": await services.budgets.budget(caller, spend.project_id),
        "may_set": SCOPE in caller.scopes,
        "marks": marks(request),
        "origin": origin(request),
    }
    return Template("spend_project.html", context=context, headers=NO_STORE)
