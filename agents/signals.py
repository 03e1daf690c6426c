"""What happens here and others may want to know of, since this package imports none of them."""

from __future__ import annotations

from django.dispatch import Signal

agent_changed = Signal()
"""An agent has a new version; sent with ``agent_id`` inside of the transaction that makes it."""
