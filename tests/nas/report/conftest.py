"""The events of one run with two arms, shared by the tests of a file."""

from __future__ import annotations

import pytest

from nas.record.journal import Event
from tests.nas.report.made_up_runs import made_up_run


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return made_up_run()
