"""Dreams (spec advanced 14)."""
