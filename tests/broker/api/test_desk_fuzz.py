"""The desks' calls with the keys that open them: whatever comes, they answer as described."""

import pytest
import schemathesis

from tests.broker.api.test_fuzz import CHECKS, attempt, label, operations, schema
from tests.fake_market import KEY, OPERATOR_KEY, PROVIDER_KEY

# Feeds have no store here, so nothing can be released.
desks = schema.include(path_regex="^/v1/(provider|operator|spend)").exclude(operation_id="ReleaseOffer")
KEYS = {"/v1/provider": PROVIDER_KEY, "/v1/operator": OPERATOR_KEY, "/v1/spend": KEY}


@pytest.mark.parametrize("operation", operations(desks), ids=label)
def test_a_desk_answers_as_described(operation):
    key = next(key for start, key in KEYS.items() if operation.path.startswith(start))

    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)

    attempt(operation, check, examples=4)
