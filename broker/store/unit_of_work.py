"""One request or one task, one transaction: the only place that commits.

    async with unit_of_work(sessions) as work:
        await OfferRepository(work).add(offer)

Leaving the block commits; an exception inside rolls everything back. A COMMIT that fails (a deferred
constraint, a lost server) is raised by the `async with` itself, so that an answer sent after the block is true.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker


class WorkSession(AsyncSession):
    """A session whose transaction belongs to the unit of work: repositories may flush, never commit."""

    async def commit(self) -> None:
        """Raises AssertionError: the end of `unit_of_work` commits, nobody else."""
        raise AssertionError("only the unit of work commits")

    async def rollback(self) -> None:
        """Raises AssertionError: raise an error instead, the unit of work then rolls back."""
        raise AssertionError("only the unit of work rolls back; raise an error")


Sessions = async_sessionmaker[WorkSession]


def open_sessions(engine: AsyncEngine) -> Sessions:
    """The sessions of an engine. Rows keep their values after the commit, when nothing can be read again."""
    return async_sessionmaker(engine, class_=WorkSession, expire_on_commit=False)


@asynccontextmanager
async def unit_of_work(sessions: Sessions) -> AsyncIterator[WorkSession]:
    """One transaction around the block: committed at its end, rolled back on any exception or cancellation."""
    async with sessions() as session, session.begin():
        yield session
