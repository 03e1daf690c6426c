"""`make chaos`: a storm of the size that the environment asks for; with `DRAIN=50`, workers that are told to
end while so many sessions run; with `APART=1` the processes are those of `deploy/systemd`, each started by itself.
Exits 1 if the audit complains.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from typing import TYPE_CHECKING

from tests.chaos import drain
from tests.chaos.apart import Apart
from tests.chaos.storm import storm
from tests.live import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator


LOG_CHARACTERS = 6_000


@contextlib.contextmanager
def _logs_of_a_failure(installation: Installation) -> Iterator[None]:
    """Show what the services wrote last if the storm can't be brought to its end: the installation goes with it."""
    try:
        yield
    except Exception:
        for file in sorted((installation.data_dir / "log").glob("*.log")):
            print(f"--- {file.stem}\n{installation.log(file.stem)[-LOG_CHARACTERS:]}", file=sys.stderr)
        raise


def main() -> int:
    kind = Apart if os.environ.get("APART") else Installation
    if os.environ.get("DRAIN"):
        return drain.main(int(os.environ["DRAIN"]), kind)
    kills, sessions = int(os.environ.get("KILLS", "20")), int(os.environ.get("SESSIONS", "6"))
    steps, seed = int(os.environ.get("STEPS", "30")), int(os.environ.get("SEED", str(random.randrange(10**6))))
    interval, children = float(os.environ.get("INTERVAL", "0.8")), int(os.environ.get("CHILDREN", "0"))
    each = f"with {children} children each" if children else "work"
    print(f"{kills} kills while {sessions} sessions {each} in {steps} steps (SEED={seed})")
    with kind.started(WORKERS="2", LEASE_SECONDS="3") as installation, _logs_of_a_failure(installation):
        report = storm(
            installation, kills=kills, sessions=sessions, steps=steps, seed=seed, interval=interval, children=children
        )
    print(report.table())
    return 1 if report.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
