"""Requests nobody would write: whatever comes, the API answers as its description says."""

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks

from broker.application import application
from tests.fake_market import KEY, FakeMarket

schema = schemathesis.openapi.from_asgi("/schema/openapi.json", application(FakeMarket().services))
load_all_checks()
CHECKS = [
    schemathesis.checks.CHECKS.get_one(name)
    for name in ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
]


@schema.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_whatever_comes_is_answered_as_described(case):
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS)
