"""Deployments: sessions that start by the clock or at the press of a button (spec advanced 13)."""
