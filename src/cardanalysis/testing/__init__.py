"""Tools to test what is built on cardanalysis, or on Claude.

`FakeMessagesAPI` is a Messages API on loopback that the official SDK talks to, scripted with `Reply`. As a pytest
fixture it is in ``cardanalysis.testing.fixtures``. `check_store` holds a store of your own to the promises of
`cardanalysis.abc.Store`; as a pytest class they are in ``cardanalysis.testing.store_tests``. Importing this package
imports no test framework and no SDK.
"""

from __future__ import annotations

from ._fake_api import FakeMessagesAPI
from ._rate_limits import RateLimits
from ._recorded import RecordedRequest
from ._replies import Reply
from ._scripted import ScriptedAnalyzer, first_line_card
from ._store_promises import check_store

__all__ = [
    "FakeMessagesAPI",
    "RateLimits",
    "RecordedRequest",
    "Reply",
    "ScriptedAnalyzer",
    "check_store",
    "first_line_card",
]
