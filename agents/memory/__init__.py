"""Memory stores: what may be written where, and what is kept of it (spec advanced 6)."""
