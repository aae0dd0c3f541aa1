"""A person's own page: whom they act for, what they sign in with, where they are signed in; and who else belongs there."""

from typing import Annotated

import segno
from litestar import get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.signing_in import party_of
from broker.services.views import Caller
from contracts.credentials import totp_address
from contracts.people import roles_of
from web.i18n import gettext as _
from web.i18n import later
from web.pages.refusals import Desk
from web.pages.signing import COOKIE, NO_STORE, AnyRequest, FormMarks, act_key, marks, page_caller, page_person

FORM = RequestEncodingType.URL_ENCODED
ACCOUNT, MEMBERS, PROJECTS = "/account", "/account/members", "/account/projects"
REFUSING = Desk(
    frame="base.html",
    page="account",
    home=ACCOUNT,
    back=lambda path: (
        PROJECTS if path.startswith(PROJECTS) else MEMBERS if path.startswith((f"{MEMBERS}/", f"{ACCOUNT}/invitations")) else ACCOUNT
    ),
)
QR_SCALE = 5
# What the market says in English and these pages look up.
SAID = (
    later("owner"), later("buyer"), later("reader"), later("finance"), later("operator"),
    later("opened"), later("invited"), later("joined"), later("left"), later("removed"), later("changed a role"),
    later("withdrew an invitation"), later("made a password link"), later("second factor on"), later("second factor off"),
    later("connected a sign-in"),
    later("No person has this address and password."),
    later("That is not the code of this minute, nor a recovery code you have left."),
    later("This address has a person already: sign in, or ask an owner of your organisation for a new password."),
    later("This link was used, or its day is over; ask for another."),
    later("That is not your password as it is now."),
)  # fmt: skip
SentMarks = Annotated[FormMarks, Body(media_type=FORM)]


class AccountForm(FormMarks, frozen=True, kw_only=True):
    """What the forms of these pages send, each its own part of it."""

    before: str = ""
    after: str = ""
    code: str = ""
    party: str = ""
    email: str = ""
    role: str = ""

    @property
    def marks(self) -> FormMarks:
        """The hidden fields alone."""
        return FormMarks(token=self.token, once=self.once)


Sent = Annotated[AccountForm, Body(media_type=FORM)]


@get("/account", include_in_schema=False)
async def account_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Everything about the reader."""
    return await _account(request, services, caller=await page_person(request, services))


@post("/account/act-for", include_in_schema=False, status_code=303)
async def act_for(data: Sent, request: AnyRequest, *, services: NamedDependency[Services]) -> Redirect:
    """Act for another organisation from now on, in this browser."""
    await _acting(request, services, sent=data.marks)
    await services.signing_in.act_for(request.cookies[COOKIE], data.party)
    return Redirect(ACCOUNT, status_code=303)


@post("/account/password", include_in_schema=False, status_code=200)
async def change_password(data: Sent, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """Take a new password; every other browser is signed out."""
    caller = await _acting(request, services, sent=data.marks)
    fault = await services.signing_in.change_password(caller, before=data.before, after=data.after, token=request.cookies[COOKIE])
    said = None if fault else _("The password is changed, and every other browser signed out.")
    return await _account(request, services, caller=caller, fault=fault, said=said)


@post("/account/second-factor/begin", include_in_schema=False, status_code=303)
async def begin_second_factor(data: SentMarks, request: AnyRequest, *, services: NamedDependency[Services]) -> Redirect:
    """Make a secret for an authenticator."""
    await services.signing_in.begin_second_factor(await _acting(request, services, sent=data))
    return Redirect(f"{ACCOUNT}#second-factor", status_code=303)


@post("/account/second-factor/confirm", include_in_schema=False, status_code=200)
async def confirm_second_factor(data: Sent, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """Put the secret in use, and show the recovery codes, once."""
    caller = await _acting(request, services, sent=data.marks)
    codes = await services.signing_in.confirm_second_factor(caller, data.code)
    if not codes:
        return await _account(request, services, caller=caller, fault=_("That is not the code of this minute."))
    context = {
        "title": _("Keep these codes"),
        "meaning": _("Each opens once, when your authenticator is lost. They are not shown again."),
        "lines": codes,
        "back": ACCOUNT,
    }
    return Template("account_once.html", context=context, headers=NO_STORE)


@post("/account/second-factor/end", include_in_schema=False, status_code=200)
async def end_second_factor(data: Sent, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """Take the second factor away, proven by a code of it."""
    caller = await _acting(request, services, sent=data.marks)
    gone = await services.signing_in.end_second_factor(caller, data.code)
    said = _("The second factor is off: your password alone signs you in.") if gone else None
    return await _account(request, services, caller=caller, said=said, fault=None if gone else _("That is not the code of this minute."))


@post("/account/sessions/{session_id:str}/end", include_in_schema=False, status_code=303)
async def end_session(session_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Sign another browser out."""
    await services.signing_in.end_session(session_id, await _acting(request, services, sent=data))
    return Redirect(f"{ACCOUNT}#sessions", status_code=303)


@get("/account/members", include_in_schema=False)
async def members_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Who belongs to the organisation, who is invited, and what was done about it."""
    return await _members(request, services, caller=await page_caller(request, services))


@post("/account/members/invite", include_in_schema=False, status_code=200)
async def invite(data: Sent, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """Invite somebody; the link is shown once, to be sent by whatever way its reader trusts."""
    caller = await _acting(request, services, sent=data.marks)
    token = await services.members.invite(data.email, data.role, caller=caller)
    sentence = later("Whoever opens it within a week may join as %(role)s. Send it to %(email)s; it is not shown again.")
    meaning = _(sentence, role=_(data.role), email=data.email)
    return _link(request, f"/invitations/{token}", title=_("The link of the invitation"), meaning=meaning)


@post("/account/members/{person_id:str}/role", include_in_schema=False, status_code=303)
async def change_role(person_id: FromPath[str], data: Sent, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Give a member another role."""
    await services.members.change_role(person_id, data.role, caller=await _acting(request, services, sent=data.marks))
    return Redirect(MEMBERS, status_code=303)


@post("/account/members/{person_id:str}/remove", include_in_schema=False, status_code=303)
async def remove_member(person_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Take a member's role back, or leave."""
    caller = await _acting(request, services, sent=data)
    await services.members.remove(person_id, caller)
    return Redirect(ACCOUNT if person_id == caller.person_id else MEMBERS, status_code=303)


@post("/account/members/{person_id:str}/password-link", include_in_schema=False, status_code=200)
async def password_link(person_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """A link by which a member who cannot sign in sets a new password, shown once."""
    token = await services.members.password_link(person_id, await _acting(request, services, sent=data))
    meaning = _("It sets a new password once, within a day, and ends every session of theirs. It is not shown again.")
    return _link(request, f"/passwords/{token}", title=_("A link for a new password"), meaning=meaning)


@post("/account/invitations/{invitation_id:str}/withdraw", include_in_schema=False, status_code=303)
async def withdraw_invitation(
    invitation_id: FromPath[str], data: SentMarks, *, request: AnyRequest, services: NamedDependency[Services]
) -> Redirect:
    """Take an invitation back."""
    await services.members.withdraw(invitation_id, await _acting(request, services, sent=data))
    return Redirect(MEMBERS, status_code=303)


async def _acting(request: AnyRequest, services: Services, *, sent: FormMarks) -> Caller:
    """The reader, whose form this is. Raises NotSignedIn, NotPermitted."""
    caller = await page_person(request, services)
    act_key(request, caller, sent=sent)
    return caller


async def _account(
    request: AnyRequest, services: Services, *, caller: Caller, fault: str | None = None, said: str | None = None
) -> Template:
    context: dict[str, object] = {"caller": caller, "marks": marks(request), "fault": fault, "said": said}
    context["elsewhere"] = request.app.state.identity
    if caller.person_id is not None:
        person, factor = await services.signing_in.person(caller), await services.signing_in.second_factor(caller)
        qr = (
            segno.make(totp_address(factor.secret, person.email)).svg_data_uri(scale=QR_SCALE, border=2, light="#fff")
            if factor.secret
            else ""
        )
        token = request.cookies.get(COOKIE, "")
        sessions = await services.signing_in.sessions(caller)
        context |= {
            "person": person,
            "factor": factor,
            "qr": qr,
            "party": party_of(caller),
            "organisations": await services.members.organisations(caller),
            "sessions": [(each, await services.signing_in.is_here(token, each.id)) for each in sessions],
        }
    return Template("account.html", context=context, status_code=400 if fault else 200, headers=NO_STORE)


async def _members(request: AnyRequest, services: Services, *, caller: Caller) -> Template:
    context = {
        "caller": caller,
        "marks": marks(request),
        "members": await services.members.members(caller),
        "invitations": await services.members.invitations(caller),
        "acts": await services.members.acts(caller),
        "roles": list(roles_of(party_of(caller))),
        "may": "members" in caller.scopes,
    }
    return Template("account_members.html", context=context, headers=NO_STORE)


def _link(request: AnyRequest, path: str, *, title: str, meaning: str) -> Template:
    address = str(request.base_url).rstrip("/") + path
    return Template(
        "account_once.html", context={"title": title, "meaning": meaning, "lines": [address], "back": MEMBERS}, headers=NO_STORE
    )


PAGES = (
    account_page,
    act_for,
    change_password,
    begin_second_factor,
    confirm_second_factor,
    end_second_factor,
    end_session,
    members_page,
    invite,
    change_role,
    remove_member,
    password_link,
    withdraw_invitation,
)
