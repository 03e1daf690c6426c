"""Telling other programs what happens, signed and with patience (spec advanced 15)."""
