"""What the demo model can do, as questions with their answers."""

from __future__ import annotations

from typing import Any

GREETING = "Hello! How can I help you today?"
CAPITAL = "What is the capital of France?"
CAPITAL_ANSWER = "The capital of France is Paris."
WEATHER = "What is the weather in Paris?"
WEATHER_PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PERSON = "Extract name and age as JSON: Paula is 34 years old."
