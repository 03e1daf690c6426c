"""Workflow runs (spec advanced 10): plans that start many agents and combine their results. See docs/workflows.md."""
