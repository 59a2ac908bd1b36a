"""Tests of stores share the modules `batches`, `store_calls` and `store_model`, which are not tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
