"""A program that dies at any point of its work with the store: at the statement, or the commit, of a given number."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import event

from broker.store.unit_of_work import Sessions

MOMENTS = ("before_cursor_execute", "commit")


class Died(Exception):
    """The program ended here."""


@contextmanager
def dying(sessions: Sessions, *, at: int) -> Iterator[list[str]]:
    """Die at the statement or commit of this number, from 1; the list says what came before."""
    engine = sessions.kw["bind"].sync_engine
    came: list[str] = []

    def before(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        step(statement)

    def committing(_connection: object) -> None:
        step("COMMIT")

    def step(words: str) -> None:
        came.append(words)
        if len(came) == at:
            raise Died(words)

    heard = dict(zip(MOMENTS, (before, committing), strict=True))
    for name, listener in heard.items():
        event.listen(engine, name, listener)
    try:
        yield came
    finally:
        for name, listener in heard.items():
            event.remove(engine, name, listener)


async def die_everywhere(sessions: Sessions, act: Callable[[], Awaitable[object]], *, after: Callable[[int], Awaitable[None]]) -> int:
    """Run `act` and let it die at its first moment, its second…, calling `after` each time, until it ends; how often it died."""
    for number in range(1, 1000):
        try:
            with dying(sessions, at=number):
                await act()
        except Died:
            await after(number)
        else:
            return number - 1
    raise AssertionError("it never ends")
