"""What of ``threading``, ``contextlib``, ``signal`` and ``ctypes`` is used in here, without loading them.

Those packages and what they load in turn take a third of the time in which a sandbox gets ready.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

Lock = allocate_lock
# Plain numbers, where ``signal`` makes enumerations of them.
SIGINT, SIGKILL, SIGSTOP = int(_signal.SIGINT), int(_signal.SIGKILL), int(_signal.SIGSTOP)
IGNORED_BY_PYTHON = (int(_signal.SIGPIPE), int(_signal.SIGXFSZ))


class Flag:
    """Set once, looked at by others. Whoever waits meanwhile waits for ``fd`` too, if it is one, and then calls
    ``heed``, which may set the flag.
    """

    fd = -1

    def heed(self) -> None:
        """Nothing to heed."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set


class Suppressed:
    """Lets exceptions of a kind pass in silence."""

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return kind is not None and issubclass(kind, self._kind)


def in_background(work: Callable[..., None], *given: object) -> None:
    """Run ``work`` in a thread that nobody waits for."""
    start_new_thread(work, given)


def prctl(option: int, value: int) -> int:
    """The system call of that name; -1 if it failed."""
    arguments = (option, value, 0, 0, 0)
    try:
        import _ctypes

        name = _ctypes.dlsym(_ctypes.dlopen(None, 2), "prctl")  # type: ignore[arg-type]  # None: this program itself
        return int(_ctypes.call_function(name, arguments))
    except (ImportError, AttributeError):  # an interpreter that has it elsewhere
        import ctypes

        return int(ctypes.CDLL(None).prctl(*arguments))
