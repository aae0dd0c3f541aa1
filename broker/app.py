"""The one place where a market is put together: services on stores, clock and worker handed in.

async with open_market(settings, clock=...) as market:
    async with market.services() as services:
        await services.orders.submit(request, caller)
"""

import ctypes
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from multiprocessing import get_context

import msgspec

from broker.clock import Clock
from broker.closing import PeriodClose
from broker.collecting import CollectionDesk
from broker.cycle import MarketCycle, Timetable
from broker.feeds.book import LiveBook
from broker.feeds.desk import FeedDesk
from broker.feeds.room import LiveRoom
from broker.files.archive import UsageArchive
from broker.identity_provider import IdentityProvider
from broker.listening import Happenings
from broker.payments.collector import Collector
from broker.payments.port import Processor
from broker.payments.stored import StoredLedger
from broker.payouts import POLICY, PayoutDesk
from broker.services.access import AccessService
from broker.services.accounts import AccountService
from broker.services.backlog import Backlog
from broker.services.budgets import BudgetService
from broker.services.corrections import CorrectionService
from broker.services.disputes import DisputeService
from broker.services.explanations import ExplanationService
from broker.services.finance import FinanceService
from broker.services.indication import Indications
from broker.services.keys import KeyService, RequestLog
from broker.services.leases import LeaseService
from broker.services.market import MarketService
from broker.services.market_figures import FigureMemory, MarketFigures
from broker.services.market_watch import MarketWatch, Pulse
from broker.services.members import MemberService
from broker.services.offers import OfferService
from broker.services.operators import OperatorService
from broker.services.orders import Holds, OrderService
from broker.services.price_history import PriceHistoryService
from broker.services.projects import ProjectService
from broker.services.providers import Answers, ProviderService
from broker.services.quote_ports import QuoteRules
from broker.services.quotes import QuoteService
from broker.services.receivables import MeterService, ReceivableService, ReconciliationService
from broker.services.replies import ReplyService
from broker.services.resale import ResaleService
from broker.services.search import SearchService
from broker.services.signing_in import SignInService, SignUpTerms
from broker.services.spending import SpendService
from broker.services.usage import UsageService
from broker.services.views import ShownKey
from broker.services.webhooks import WebhookService
from broker.store.engine import open_engine
from broker.store.repositories.access import AccessRepository
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.acts import ActRepository
from broker.store.repositories.bids import BidRepository
from broker.store.repositories.budgets import BudgetRepository
from broker.store.repositories.cleared_books import ClearedBookRepository
from broker.store.repositories.grants import GrantRepository
from broker.store.repositories.happenings import HappeningReader
from broker.store.repositories.journal import JournalRepository
from broker.store.repositories.keys import KeyRepository
from broker.store.repositories.leases import LeaseRepository
from broker.store.repositories.market import MarketRepository
from broker.store.repositories.market_figures import MarketFiguresRepository
from broker.store.repositories.members import MemberRepository
from broker.store.repositories.offers import OfferSearchRepository
from broker.store.repositories.operator_desk import OperatorRepository
from broker.store.repositories.people import PeopleRepository
from broker.store.repositories.price_history import PriceHistoryRepository
from broker.store.repositories.projects import ProjectRepository
from broker.store.repositories.provider_desk import ProviderRepository
from broker.store.repositories.quotes import QuoteRepository
from broker.store.repositories.reconciling import MeterRepository, ReconciliationRepository
from broker.store.repositories.replies import ReplyRepository
from broker.store.repositories.resales import ResaleRepository
from broker.store.repositories.settlements import SettlementRepository
from broker.store.repositories.spending import SpendRepository
from broker.store.repositories.usage import UsageRepository
from broker.store.repositories.webhooks import WebhookRepository
from broker.store.unit_of_work import Sessions, WorkSession, open_sessions, unit_of_work
from broker.treasury import Treasury
from contracts.payout_runs import PayoutPolicy
from contracts.terms.hardware import HardwareClass
from contracts.terms.ids import fresh_id
from contracts.terms.quotes import QuotePolicy
from contracts.webhooks import Message

PR_SET_PDEATHSIG = 1


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a participant may do, inside one unit of work; the desks of finance open their own, one a step."""

    clock: Clock
    access: AccessService
    accounts: AccountService
    backlog: Backlog
    budgets: BudgetService
    corrections: CorrectionService
    disputes: DisputeService
    explanations: ExplanationService
    feeds: FeedDesk
    figures: MarketFigures
    finance: FinanceService
    happenings: Happenings
    keys: KeyService
    leases: LeaseService
    market: MarketService
    members: MemberService
    meters: MeterService
    offers: OfferService
    operators: OperatorService
    orders: OrderService
    prices: PriceHistoryService
    projects: ProjectService
    providers: ProviderService
    quotes: QuoteService
    receivables: ReceivableService
    reconciliation: ReconciliationService
    replies: ReplyService
    search: SearchService
    spending: SpendService
    signing_in: SignInService
    treasury: Treasury
    usage: UsageService
    watch: MarketWatch
    webhooks: WebhookService
    session: WorkSession


OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


class Market:
    """A market: its stores, its timetable, its clock.

    shown_keys     keys that open nothing but a demo, for its sign-in page to show; none in a real market
    processor      what statements are collected through; None leaves them to be collected otherwise
    payout_policy  what every payout run keeps to
    quote_policy   what every quote keeps to
    sign_up        what an organisation that signs itself up begins with
    identity       who else vouches for people; None lets them in by password and key alone
    archive        where closed usage is copied to; None leaves it in the store alone
    inside         whether webhooks may go to this machine and its networks, and without TLS: never in a real market
    """

    processor: Processor | None = None
    payout_policy: PayoutPolicy = POLICY
    sign_up: SignUpTerms = SignUpTerms()
    identity: IdentityProvider | None = None
    quote_policy: QuotePolicy = QuotePolicy()
    archive: UsageArchive | None = None
    inside: bool = False

    def __init__(
        self,
        sessions: Sessions,
        *,
        clock: Clock,
        timetable: Timetable,
        hardware: list[HardwareClass],
        shown_keys: Sequence[ShownKey] = (),
    ) -> None:
        self.sessions = sessions
        self.clock = clock
        self.timetable = timetable
        self.hardware = hardware
        self.shown_keys = tuple(shown_keys)
        self.backlog = Backlog()
        self.requests = RequestLog()
        self.answers = Answers(timetable.currency)
        self.feeds = FeedDesk(sessions, clock=clock, hardware=hardware)
        self.book = LiveBook(sessions, clock=clock)
        self.room = LiveRoom(sessions, clock=clock, timetable=timetable)
        self.figured = FigureMemory(hardware)
        self.indications = Indications(timetable.currency)
        self.watch = MarketWatch(self._look)
        self.happenings = Happenings(self._happened, clock=clock)

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Services]:
        """The services of one request or task, in one transaction."""
        async with unit_of_work(self.sessions) as work:
            yield self.on(work)

    def on(self, work: WorkSession) -> Services:
        """The services on a transaction somebody else has opened."""
        accounts, journal, leases = AccountRepository(work), JournalRepository(work), LeaseRepository(work)
        people, members = PeopleRepository(work), MemberRepository(work)
        acts, settlements = ActRepository(work), SettlementRepository(work)
        corrections = CorrectionService(acts, journal, clock=self.clock)
        disputes = DisputeService(acts, settlements, closes=settlements, corrections=corrections, clock=self.clock)
        known = ProjectRepository(work)
        projects = ProjectService(known, accounts, members=members, clock=self.clock, entropy=os.urandom)
        budgets = BudgetService(BudgetRepository(work), accounts, projects=known, clock=self.clock)
        holds = Holds(journal, GrantRepository(work, self.hardware), budgets, projects)
        orders = OrderService(accounts, BidRepository(work), holds=holds, clock=self.clock, entropy=os.urandom)
        quotes = QuoteRepository(work)
        holding = LeaseService(leases, ResaleService(ResaleRepository(work), quotes, clock=self.clock), clock=self.clock)
        offers = self._offers(work)
        table = self.timetable
        return Services(
            clock=self.clock,
            access=AccessService(AccessRepository(work), leases, clock=self.clock, entropy=os.urandom),
            accounts=AccountService(accounts),
            backlog=self.backlog,
            budgets=budgets,
            corrections=corrections,
            disputes=disputes,
            explanations=ExplanationService(BidRepository(work), ClearedBookRepository(work)),
            feeds=self.feeds,
            figures=MarketFigures(MarketFiguresRepository(work), MarketRepository(work), memory=self.figured, clock=self.clock),
            finance=FinanceService(settlements, journal),
            happenings=self.happenings,
            keys=KeyService(KeyRepository(work), self.requests, clock=self.clock, entropy=os.urandom),
            leases=holding,
            market=self._market(work),
            members=MemberService(people, members, clock=self.clock, entropy=os.urandom),
            meters=MeterService(MeterRepository(work), leases, clock=self.clock),
            offers=offers,
            operators=self._operators(work),
            orders=orders,
            prices=PriceHistoryService(PriceHistoryRepository(work), clock=self.clock, currency=table.currency),
            projects=projects,
            providers=self._providers(work),
            quotes=QuoteService(quotes, orders=orders, leases=holding, rules=self._quote_rules(), clock=self.clock),
            receivables=ReceivableService(acts, journal, disputes=disputes, clock=self.clock),
            reconciliation=ReconciliationService(ReconciliationRepository(work)),
            replies=ReplyService(ReplyRepository(work), self.clock),
            search=SearchService(
                self.book, offers, reader=self.book.beside.over(OfferSearchRepository(work)), clock=self.clock, room=self.room
            ),
            signing_in=SignInService(people, members, clock=self.clock, entropy=os.urandom, terms=self.sign_up),
            spending=self._spending(work),
            treasury=Treasury(self.close(), self.collection(), self.payouts()),
            usage=UsageService(UsageRepository(work), clock=self.clock),
            watch=self.watch,
            webhooks=WebhookService(WebhookRepository(work), clock=self.clock, entropy=os.urandom, plain=self.inside),
            session=work,
        )

    def _market(self, work: WorkSession) -> MarketService:
        table, reader = self.timetable, MarketRepository(work)
        return MarketService(reader, self.clock, currency=table.currency, gate_interval=table.gate_interval, indications=self.indications)

    async def _look(self) -> Pulse:
        async with unit_of_work(self.sessions) as work:
            return await self._market(work).pulse()

    async def _happened(self, since: datetime, owners: frozenset[str]) -> list[Message]:
        async with unit_of_work(self.sessions) as work:
            return await HappeningReader(work).since(since, owners, now=self.clock.now())

    def _spending(self, work: WorkSession) -> SpendService:
        known, accounts = SpendRepository(work, self.hardware), AccountRepository(work)
        return SpendService(known, self.close(), accounts=accounts, clock=self.clock, fee_bps=self.timetable.fee_bps)

    def _operators(self, work: WorkSession) -> OperatorService:
        return OperatorService(
            ClearedBookRepository(work), MarketRepository(work), reader=OperatorRepository(work), clock=self.clock, answers=self.answers
        )

    def _providers(self, work: WorkSession) -> ProviderService:
        return ProviderService(
            ClearedBookRepository(work), ProviderRepository(work), feeds=self.feeds, clock=self.clock, answers=self.answers
        )

    def _offers(self, work: WorkSession) -> OfferService:
        return OfferService(
            OfferSearchRepository(work),
            self.clock,
            catalogue={each.name: each for each in self.hardware},
            currency=self.timetable.currency,
            fee_bps=self.timetable.fee_bps,
        )

    def cycle(self, worker: Executor) -> MarketCycle:
        """The runner of this market's cycles."""
        return MarketCycle(self.sessions, self.hardware, clock=self.clock, timetable=self.timetable, worker=worker)

    def close(self) -> PeriodClose:
        """The closer of this market's months."""
        return PeriodClose(self.sessions, self.hardware, clock=self.clock, archive=self.archive)

    def collection(self) -> CollectionDesk:
        """Where this market's statements are collected."""
        return CollectionDesk(self.sessions, self._collector(), clock=self.clock)

    def payouts(self) -> PayoutDesk:
        """Where this market's providers are paid."""
        return PayoutDesk(self.sessions, self._collector(), clock=self.clock, policy=self.payout_policy)

    def _quote_rules(self) -> QuoteRules:
        table = self.timetable
        return QuoteRules(
            currency=table.currency,
            slot_seconds=table.slot_seconds,
            slots=table.slots,
            fee_bps=table.fee_bps,
            next_gate=table.gate_after,
            over=table.over,
            new_id=lambda: fresh_id("quo", os.urandom(16)),
            policy=self.quote_policy,
        )

    def _collector(self) -> Collector | None:
        return Collector(self.processor, StoredLedger(self.sessions)) if self.processor else None


@asynccontextmanager
async def open_market(
    dsn: str, *, clock: Clock, timetable: Timetable, hardware: list[HardwareClass], shown_keys: Sequence[ShownKey] = ()
) -> AsyncIterator[Market]:
    """A market on a database that is already migrated; its connections are closed at the end."""
    engine = open_engine(dsn)
    try:
        yield Market(open_sessions(engine), clock=clock, timetable=timetable, hardware=hardware, shown_keys=shown_keys)
    finally:
        await engine.dispose()


def clearing_worker() -> ProcessPoolExecutor:
    """The process that clears: one, started fresh, so that neither its memory nor its crash is the broker's; it dies with the broker."""
    return ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"), initializer=_die_with_parent, initargs=(os.getpid(),))


def _die_with_parent(parent: int) -> None:
    """Ask Linux to end this process with its parent, however that ends: a killed broker leaves no worker behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
