"""Decisions of people about calls: one inbox across sessions.

``book`` keeps the rows in step with the log, ``finding`` reads them, ``actions`` decides, assigns and remembers,
``deadlines`` ends what nobody answers, ``cards`` is what a person sees.
"""
