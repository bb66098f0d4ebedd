"""The table of audit records for the docs, from their schema."""

from __future__ import annotations

import typing

from orchestrator.telemetry.audit_record import AuditRecord


def records_table(_: str = "") -> str:
    """The fields of an audit record as Markdown."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for name, field in AuditRecord.model_fields.items():
        lines.append(f"| `{name}` | {_type(field.annotation)} | {field.description} |")
    return "\n".join(lines) + "\n"


def _type(annotation: object) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " · ".join(f"`{each}`" for each in typing.get_args(annotation))
    return {str: "text", int: "integer", float: "number"}.get(annotation, str(annotation))  # type: ignore[call-overload, no-any-return]
