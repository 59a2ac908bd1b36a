"""The models, as ``GET /v1/models`` shows it; pure."""

from __future__ import annotations

from typing import Any

__all__ = ["KNOWN_MODELS", "model_json"]

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
