"""The desks' calls with the keys that open them: whatever comes, they answer as described."""

import schemathesis
from hypothesis import HealthCheck, settings

from tests.broker.api.test_fuzz import CHECKS, schema
from tests.fake_market import KEY, OPERATOR_KEY, PROVIDER_KEY

# Feeds have no store here, so nothing can be released.
desks = schema.include(path_regex="^/v1/(provider|operator|spend)").exclude(operation_id="ReleaseOffer")
KEYS = {"/v1/provider": PROVIDER_KEY, "/v1/operator": OPERATOR_KEY, "/v1/spend": KEY}


@desks.parametrize()
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_a_desk_answers_as_described(case: schemathesis.Case):
    key = next(key for start, key in KEYS.items() if case.path.startswith(start))
    case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)
