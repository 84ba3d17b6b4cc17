"""What the tests stand on: hosts in containers, the real client, the scripted Messages API, PromQL."""

import pytest

pytest.register_assert_rewrite("tests.support.claude", "tests.support.fleet", "tests.support.promql")
