"""The hands' own side: what runs inside every sandbox, whatever the backend.

Standard library only and Python >= 3.9, because the machine's ``/usr/bin/python3`` runs it, not
our virtual environment. The package speaks JSON lines over stdio (see ``serve``) and imports
nothing from outside itself. Its imports are most of what opening a sandbox costs, so they are few:
``typing``, ``dataclasses`` and the like are done without. A backend mounts this directory
read-only and carries the pipe.
"""
