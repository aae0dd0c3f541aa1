"""Requests nobody would write: whatever comes, the API answers as its description says."""

from collections.abc import Callable

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test

from broker.application import application
from tests.fake_market import KEY, FakeMarket

# A stream that is let in has no end to wait for.
schema = schemathesis.openapi.from_asgi("/schema/openapi.json", application(FakeMarket().services)).exclude(operation_id="StreamEvents")
load_all_checks()
CHECKS = [
    schemathesis.checks.CHECKS.get_one(name)
    for name in ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
]
Operation = schemathesis.APIOperation


def label(operation: Operation) -> str:
    """A call as a test is named after it."""
    return operation.label


def operations(calls: schemathesis.BaseSchema) -> list[Operation]:
    """The calls a description lists."""
    return [each.ok() for each in calls.get_all_operations()]


def attempt(operation: Operation, check: Callable[[schemathesis.Case], None], *, examples: int) -> None:
    """Try a call: its examples, the borders of everything it takes, and as many `examples` of chance.

    Built here and not by `schema.parametrize()`: that builds every call's in every worker before a test is run, and names
    them all alike, so that workers who share tests out by name run one of them.
    """
    house = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    config = HypothesisTestConfig(project=schema.config, modes=list(HypothesisTestMode))
    create_test(operation=operation, test_func=house(check), config=config)()


@pytest.mark.parametrize("operation", operations(schema), ids=label)
def test_whatever_comes_is_answered_as_described(operation):
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS)

    attempt(operation, check, examples=5)
