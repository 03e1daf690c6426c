"""Say in one sentence why this Python cannot make a virtual environment, if it cannot. Runs on any Python 3."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file is what says so
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"holdfast: Python 3.11 or newer is needed, {sys.executable} is {found}; set PYTHON to a newer python3.")
try:
    import ensurepip
    import venv
except ImportError:
    sys.exit(
        f"holdfast: {sys.executable} cannot make virtual environments; install its venv package "
        "(Debian, Ubuntu: apt-get install python3-venv), or set PYTHON to another python3."
    )
# Named so that neither import is mistaken for an unused one.
USABLE = (ensurepip, venv)
