"""The list of models, as ``GET /v1/models`` shows it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

__all__ = ["KNOWN_MODELS", "model_json", "page_json"]

KNOWN_MODELS = (
    "claude-fable-5-2",
    "claude-haiku-5-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-sonnet-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
)
"""What is listed when the user named no models."""

_YES = {"supported": True}
_CAPABILITIES = {
    **dict.fromkeys(
        ("batch", "citations", "code_execution", "image_input", "pdf_input", "structured_outputs"),
        _YES,
    ),
    "context_management": {"supported": True},
    "effort": {"supported": True, **dict.fromkeys(("low", "medium", "high", "xhigh", "max"), _YES)},
    "server_tools": {"supported": True, "code_execution": _YES, "web_search": _YES},
    "thinking": {
        "supported": True,
        "types": dict.fromkeys(("adaptive", "between_tools", "disabled", "enabled"), _YES),
    },
}


def model_json(model: str) -> dict[str, Any]:
    """What is told of one model; all of them are active, able to do everything, and of the same size."""
    name = model.removeprefix("claude-")
    line = name.partition("-")[0]
    return {
        "id": model,
        "type": "model",
        "display_name": f"Claude {name.replace('-', ' ').title()}",
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": line if line in ("haiku", "sonnet", "opus", "fable", "mythos") else None,
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "capabilities": _CAPABILITIES,
    }


def page_json(models: Sequence[str], query: str) -> dict[str, Any]:
    """One page of the list.

    Args:
        models: The ids of all models, in order.
        query: The query of the request's URL: ``limit`` (20 unless told), ``after_id``, ``before_id``.

    Raises:
        ValueError: The limit is not from 1 to 1000, or an id is not in the list.
    """
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    limit = int(asked.get("limit", "20"))
    if not 1 <= limit <= 1000:
        raise ValueError("limit must be from 1 to 1000")
    if "before_id" in asked:
        before = models[: models.index(asked["before_id"])]
        page, has_more = before[-limit:], len(before) > limit
    else:
        after = models[models.index(asked["after_id"]) + 1 :] if "after_id" in asked else models
        page, has_more = after[:limit], len(after) > limit
    return {
        "data": [model_json(model) for model in page],
        "has_more": has_more,
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }
