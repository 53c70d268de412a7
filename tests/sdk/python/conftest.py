import pytest

pytest.register_assert_rewrite("kit")

from kit import Fake


@pytest.fixture
def fake():
    """The fake provider without answers, troubles or counts of an earlier test."""
    fake = Fake()
    fake.reset()
    yield fake
    fake.reset()
