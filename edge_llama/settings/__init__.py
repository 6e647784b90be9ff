"""Settings: frozen, composed, validated once."""
