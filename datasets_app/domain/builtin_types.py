"""The example types that every installation has from the start. Types are data: a team adds its own in the admin."""

from __future__ import annotations

from typing import Any

_TIER = {"type": "string", "enum": ["A", "B", "C", "D"], "title": "Tier"}
_CONFIDENCE = {"type": "number", "minimum": 0, "maximum": 1, "title": "Confidence"}
_REASONING = {"type": "string", "title": "Reasoning", "x-widget": "textarea"}
_SCORE = {"type": "number", "minimum": 0, "maximum": 100}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    # jsonb does not keep the order of keys, so the schema says it itself
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        "x-order": list(properties),
    }


BUILTIN_TYPES: list[dict[str, Any]] = [
    {
        "name": "text_classification",
        "title": "Text classification",
        "description": "A text and one label of a free set.",
        "input_schema": _object(
            {"text": {"type": "string", "title": "Text", "minLength": 1, "x-widget": "textarea"}}, ["text"]
        ),
        "output_schema": _object({"label": {"type": "string", "title": "Label", "minLength": 1}}, ["label"]),
        "class_field": "label",
        "required_fields": ["input.text", "output.label"],
    },
    {
        "name": "contact_tier",
        "title": "Contact tier",
        "description": "How valuable a contact is, from what is known of the person.",
        "input_schema": _object(
            {
                "title": {"type": "string", "title": "Job title"},
                "seniority": {"type": "string", "title": "Seniority"},
                "department": {"type": "string", "title": "Department"},
                "company_size": {"type": ["string", "integer"], "title": "Company size"},
                "industry": {"type": "string", "title": "Industry"},
            },
            ["title"],
        ),
        "output_schema": _object(
            {"tier": _TIER, "confidence": _CONFIDENCE, "reasoning": _REASONING}, ["tier"]
        ),
        "class_field": "tier",
        "required_fields": ["input.title", "output.tier"],
    },
    {
        "name": "lead_score",
        "title": "Lead score",
        "description": "How likely a lead is to become a customer.",
        "input_schema": _object(
            {
                "fit_score": {**_SCORE, "title": "Fit score"},
                "engagement_score": {**_SCORE, "title": "Engagement score"},
                "intent_signals": {"type": "array", "items": {"type": "string"}, "title": "Intent signals"},
                "company_quality": {**_TIER, "title": "Company quality"},
                "contact_tier": {**_TIER, "title": "Contact tier"},
            },
            ["fit_score", "engagement_score"],
        ),
        "output_schema": _object(
            {
                "lead_score": {**_SCORE, "title": "Lead score"},
                "priority": {"type": "string", "enum": ["hot", "warm", "cold"], "title": "Priority"},
                "reasoning": _REASONING,
            },
            ["lead_score", "priority"],
        ),
        "class_field": "priority",
        "required_fields": [
            "input.fit_score",
            "input.engagement_score",
            "output.lead_score",
            "output.priority",
        ],
    },
    {
        "name": "company_quality",
        "title": "Company quality",
        "description": "How well a company fits the ideal customer profile.",
        "input_schema": _object(
            {
                "company_name": {"type": "string", "title": "Company name", "minLength": 1},
                "domain": {"type": "string", "title": "Domain"},
                "industry": {"type": "string", "title": "Industry"},
                "employee_count": {"type": "integer", "minimum": 0, "title": "Employees"},
                "license_type": {"type": "string", "title": "License type"},
                "revenue_estimate": {"type": "number", "minimum": 0, "title": "Revenue estimate"},
            },
            ["company_name"],
        ),
        "output_schema": _object(
            {
                "quality_rating": {**_TIER, "title": "Quality rating"},
                "icp_match": {"type": "boolean", "title": "Matches the ideal customer profile"},
                "reasoning": _REASONING,
            },
            ["quality_rating"],
        ),
        "class_field": "quality_rating",
        "required_fields": ["input.company_name", "output.quality_rating"],
    },
]
