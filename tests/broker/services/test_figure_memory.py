"""What is kept of a cycle: nothing of any other, nothing without end, and messages for seconds."""

from broker.services.market_figures import KEPT_MAX, MESSAGES_SECONDS, FigureMemory, MarketMessage, factors_of
from broker.world.catalogue import hardware_classes
from tests.fake_market import NOW


def test_another_cycle_or_too_many_classes_empty_the_memory():
    memory = FigureMemory([])
    memory.splits["cyc_1", "H100-SXM"], memory.carbon["cyc_1", "L4"] = [], []
    memory.of("cyc_1")
    assert (len(memory.splits), len(memory.carbon)) == (1, 1)
    memory.of("cyc_2")
    assert (memory.splits, memory.carbon) == ({}, {})
    memory.splits = {("cyc_2", f"made up {number}"): [] for number in range(KEPT_MAX)}
    memory.of("cyc_2")
    assert memory.splits == {}


def test_messages_are_kept_for_seconds():
    seconds = [100.0]
    memory = FigureMemory([], watch=lambda: seconds[0])
    assert memory.messages is None
    memory.messages = [MarketMessage(kind="cycle_failed", at=NOW)]
    seconds[0] += MESSAGES_SECONDS - 1
    assert memory.messages is not None
    seconds[0] += 1
    assert memory.messages is None


def test_the_reference_class_is_worth_one_and_without_it_nothing_is_known():
    classes = hardware_classes()
    assert factors_of(list(classes.values()))["H100-SXM"] == 1
    assert factors_of([classes["L4"]]) == {}
