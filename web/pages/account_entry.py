"""The ways in: signing up, a password, the code of the minute, an invitation's link, a link for a new password."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, QueryParameter
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.signing_in import Entry, NewPerson
from broker.services.views import Caller
from contracts.terms.errors import BadInput, NotFound, NotSignedIn
from web.i18n import gettext as _
from web.pages.signing import (
    COOKIE,
    HOME,
    NO_STORE,
    AnyRequest,
    FormMarks,
    act_key,
    entered,
    form,
    from_our_own,
    marks,
    ours,
    page_person,
    sign_in_address,
)

FORM = RequestEncodingType.URL_ENCODED
ACCOUNT = "/account"
Link = FromPath[str]
After = Annotated[str, QueryParameter(name="next", max_length=4000)]


class SignUpForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the sign-up form sends; `invitation` is the token of the link its reader came by."""

    email: str = ""
    name: str = ""
    password: str = ""
    organisation: str = ""
    country: str = ""
    invitation: str = ""


class PasswordForm(msgspec.Struct, frozen=True, kw_only=True):
    """An address and a password; `after` is where its reader was going."""

    email: str = ""
    password: str = ""
    after: str = HOME


class CodeForm(msgspec.Struct, frozen=True, kw_only=True):
    """A code of the minute or a recovery code."""

    code: str = ""
    after: str = HOME


class NewPasswordForm(msgspec.Struct, frozen=True, kw_only=True):
    """A password to be set by a link."""

    password: str = ""


@get("/sign-up", include_in_schema=False)
async def sign_up_form(
    request: AnyRequest, services: NamedDependency[Services], *, invitation: Annotated[str, QueryParameter(max_length=200)] = ""
) -> Template:
    """The form; for who was invited it asks for no organisation. Raises NotFound for a link that is over."""
    return await _sign_up(request, services, sent=SignUpForm(invitation=invitation))


@post("/sign-up", include_in_schema=False, status_code=200)
async def sign_up(
    data: Annotated[SignUpForm, Body(media_type=FORM)], request: AnyRequest, *, services: NamedDependency[Services]
) -> Template | Redirect:
    """Make the person, their organisation or the role they were invited to, and sign them in; or the form again with what to change."""
    from_our_own(request)
    new = NewPerson(
        email=data.email,
        name=data.name,
        password=data.password,
        organisation="" if data.invitation else data.organisation,
        country="" if data.invitation else data.country,
    )
    try:
        if not data.invitation and data.country not in request.app.state.countries:
            raise BadInput(_("choose the country your organisation is of"), column="country")
        entry = await services.signing_in.sign_up(new, agent=_agent(request))
    except BadInput as wrong:
        return await _sign_up(request, services, sent=data, fault=wrong.message, field=str(wrong.facts.get("column", "")))
    if entry.token is None:
        return await _sign_up(request, services, sent=data, fault=_(entry.fault) if entry.fault else None, field="email")
    if data.invitation:
        party = await services.members.accept(data.invitation, await services.signing_in.caller(entry.token))
        await services.signing_in.act_for(entry.token, party)
    return entered(request, entry.token, after=HOME if not data.invitation else ACCOUNT)


@post("/sign-in/person", include_in_schema=False, status_code=200)
async def sign_in_person(
    data: Annotated[PasswordForm, Body(media_type=FORM)], request: AnyRequest, *, services: NamedDependency[Services]
) -> Template | Redirect:
    """Try an address and a password."""
    from_our_own(request)
    entry = await services.signing_in.sign_in(data.email, data.password, agent=_agent(request))
    if entry.token is None:
        return form(request, after=data.after, person_fault=entry.fault, email=data.email)
    return led_on(request, entry, after=data.after)


@get("/sign-in/code", include_in_schema=False, sync_to_thread=False)
def code_form(*, after: After = HOME) -> Template:
    """The form for the second factor."""
    return Template("account_code.html", context={"after": ours(after)}, headers=NO_STORE)


@post("/sign-in/code", include_in_schema=False, status_code=200)
async def give_code(
    data: Annotated[CodeForm, Body(media_type=FORM)], request: AnyRequest, *, services: NamedDependency[Services]
) -> Template | Redirect:
    """Try a code for the sign-in that waits for one."""
    from_our_own(request)
    try:
        entry = await services.signing_in.give_code(request.cookies.get(COOKIE, ""), data.code)
    except NotSignedIn:
        return Redirect(sign_in_address(ours(data.after)), status_code=303)
    if entry.fault:
        context = {"after": ours(data.after), "fault": entry.fault}
        return Template("account_code.html", context=context, status_code=401, headers=NO_STORE)
    return led_on(request, entry, after=data.after)


@get("/invitations/{token:str}", include_in_schema=False)
async def invitation_page(token: Link, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """Who invites whom to what, and how to take it: as whoever is signed in, or first signing in or up."""
    reader = await _person_if_any(request, services)
    context = {
        "invited": await services.members.invited(token),
        "person": await services.signing_in.person(reader) if reader and reader.person_id else None,
        "marks": marks(request),
        "token": token,
        "sign_in": sign_in_address(f"/invitations/{token}"),
    }
    return Template("account_invitation.html", context=context, headers=NO_STORE)


@post("/invitations/{token:str}", include_in_schema=False, status_code=303)
async def take_invitation(
    token: Link, data: Annotated[FormMarks, Body(media_type=FORM)], *, request: AnyRequest, services: NamedDependency[Services]
) -> Redirect:
    """Take the role, and act for the organisation from now on."""
    caller = await page_person(request, services)
    act_key(request, caller, sent=data)
    party = await services.members.accept(token, caller)
    await services.signing_in.act_for(request.cookies[COOKIE], party)
    return Redirect(ACCOUNT, status_code=303)


def new_password_refused(request: AnyRequest, wrong: BadInput) -> Template:
    """The form again, when the password may not be taken: the transaction that used the link is undone."""
    context = {"token": request.path_params.get("token", ""), "fault": wrong.message}
    return Template("account_password.html", context=context, status_code=400, headers=NO_STORE)


@get("/passwords/{token:str}", include_in_schema=False, sync_to_thread=False)
def new_password_form(token: Link) -> Template:
    """The form for a new password."""
    return Template("account_password.html", context={"token": token}, headers=NO_STORE)


@post("/passwords/{token:str}", include_in_schema=False, status_code=200, exception_handlers={BadInput: new_password_refused})
async def set_new_password(
    token: Link, data: Annotated[NewPasswordForm, Body(media_type=FORM)], *, request: AnyRequest, services: NamedDependency[Services]
) -> Template | Redirect:
    """Set the password the link is for. A password that may not be taken leaves the link as it was."""
    from_our_own(request)
    entry = await services.signing_in.set_password(token, data.password, agent=_agent(request))
    if entry.token is None:
        return Template("account_password.html", context={"token": token, "fault": entry.fault}, status_code=400, headers=NO_STORE)
    return led_on(request, entry, after=ACCOUNT)


def led_on(request: AnyRequest, entry: Entry, *, after: str) -> Redirect:
    """Keep the session, and go on: to the code where one is waited for."""
    assert entry.token is not None
    where = "/sign-in/code?" + sign_in_address(ours(after)).partition("?")[2] if entry.waits_for_code else after
    return entered(request, entry.token, after=where)


async def _sign_up(request: AnyRequest, services: Services, *, sent: SignUpForm, fault: str | None = None, field: str = "") -> Template:
    context = {
        "sent": sent,
        "fault": fault,
        "field": field,
        "countries": sorted(request.app.state.countries.items(), key=lambda each: each[1]),
        "invited": await services.members.invited(sent.invitation) if sent.invitation else None,
    }
    return Template("account_sign_up.html", context=context, status_code=400 if fault else 200, headers=NO_STORE)


async def _person_if_any(request: AnyRequest, services: Services) -> Caller | None:
    try:
        return await page_person(request, services)
    except (NotSignedIn, NotFound):
        return None


def _agent(request: AnyRequest) -> str:
    return request.headers.get("user-agent", "")


PAGES = (
    sign_up_form,
    sign_up,
    sign_in_person,
    code_form,
    give_code,
    invitation_page,
    take_invitation,
    new_password_form,
    set_new_password,
)
