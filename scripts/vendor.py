"""Re-makes everything under ``static/`` that others wrote, from pinned npm tarballs, with its hashes.

``python scripts/vendor.py`` needs ``npm`` (and the registry that npm is set up with); nothing else in the product does.
htmx and its extensions become one file: two deferred scripts race, and an extension that comes late never connects.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"
SVG_BODY = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)

ICON_NAMES = """
academic-cap adjustments-horizontal archive-box arrow-down arrow-down-tray arrow-left arrow-path arrow-right
arrow-right-start-on-rectangle arrow-top-right-on-square arrow-turn-down-right arrow-uturn-left arrows-right-left
backward banknotes bars-3 bell-alert bolt bookmark calendar-days chart-bar chat-bubble-left-right check check-circle
chevron-down chevron-left chevron-right circle-stack clock code-bracket cog-6-tooth command-line computer-desktop
cpu-chip cube document document-duplicate document-text exclamation-circle exclamation-triangle eye folder forward
funnel globe-alt hand-raised hand-thumb-down home inbox information-circle key light-bulb link list-bullet lock-closed
magnifying-glass moon no-symbol paper-airplane paper-clip pause pause-circle pencil-square play plus puzzle-piece
question-mark-circle queue-list server-stack shield-check signal signal-slash sparkles stop-circle sun trash user
user-circle users wrench-screwdriver x-circle x-mark
"""
ICONS = tuple(ICON_NAMES.split())


@dataclass(frozen=True)
class Package:
    """An npm package at one version, its licence, and the files taken out of it."""

    name: str
    version: str
    licence: str
    licence_file: str
    files: tuple[str, ...]

    @property
    def spec(self) -> str:
        return f"{self.name}@{self.version}"


HTMX = Package(
    "htmx.org", "4.0.1", "0BSD", "LICENSE", ("dist/htmx.min.js", "dist/ext/hx-ws.min.js", "dist/ext/hx-upsert.min.js")
)
INTER = Package("@fontsource-variable/inter", "5.3.0", "OFL-1.1", "LICENSE", ("files/inter-latin-wght-normal.woff2",))
MONO = Package(
    "@fontsource-variable/jetbrains-mono",
    "5.3.0",
    "OFL-1.1",
    "LICENSE",
    ("files/jetbrains-mono-latin-wght-normal.woff2",),
)
HEROICONS = Package("heroicons", "2.2.0", "MIT", "LICENSE", tuple(f"24/outline/{name}.svg" for name in ICONS))
UPLOT = Package("uplot", "1.6.32", "MIT", "LICENSE", ("dist/uPlot.iife.min.js",))  # only the usage page loads it
UPLOT_STYLE = replace(UPLOT, files=("dist/uPlot.min.css",))
OUTPUTS = {
    HTMX: "vendor/htmx.bundle.js",
    INTER: "fonts/inter-latin.woff2",
    MONO: "fonts/jetbrains-mono-latin.woff2",
    HEROICONS: "icons.svg",
    UPLOT: "vendor/uplot.js",
    UPLOT_STYLE: "vendor/uplot.css",
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fetch(package: Package, into: Path) -> Path:
    """The package's tarball, downloaded by npm's own client."""
    done = subprocess.run(
        ["npm", "pack", "--silent", package.spec], cwd=into, check=True, capture_output=True, text=True, timeout=120
    )
    return into / done.stdout.strip().splitlines()[-1]


def unpack(tarball: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The named members (paths below the tarball's one top folder)."""
    found: dict[str, bytes] = {}
    with tarfile.open(tarball) as archive:
        for name in names:
            member = archive.extractfile(f"package/{name}")
            if member is None:
                raise SystemExit(f"{tarball.name} has no file {name}")
            found[name] = member.read()
    return found


def bundle(files: dict[str, bytes]) -> bytes:
    """Scripts one after another, without their source-map comments."""
    parts = [re.sub(rb"\n?//# sourceMappingURL=.*", b"", body).strip() for body in files.values()]
    return b";\n".join(parts) + b"\n"


def sprite(files: dict[str, bytes]) -> bytes:
    """One SVG with a symbol an icon, drawn with the stroke of the text around it."""
    symbols = []
    for name, body in files.items():
        match = SVG_BODY.search(body.decode())
        if match is None:
            raise SystemExit(f"{name} is not an SVG file")
        drawing = re.sub(r"\s*\n\s*", "", match.group(1))
        symbols.append(f'<symbol id="{Path(name).stem}" viewBox="0 0 24 24">{drawing}</symbol>')
    return ('<svg xmlns="http://www.w3.org/2000/svg">' + "\n".join(symbols) + "</svg>\n").encode()


def build(package: Package, files: dict[str, bytes]) -> bytes:
    if package in (HTMX, UPLOT):
        return bundle(files)
    if package is HEROICONS:
        return sprite(files)
    return next(iter(files.values()))


def main() -> None:
    """Download, build, write, and write down what came from where."""
    rows: list[str] = []
    texts: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for package, output in OUTPUTS.items():
            tarball = fetch(package, Path(folder))
            files = unpack(tarball, package.files)
            licence = unpack(tarball, (package.licence_file,))[package.licence_file].decode().strip()
            data = build(package, files)
            target = STATIC / output
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            rows.append(
                f"| `{output}` | {package.name} | {package.version} | {package.licence} | `{sha256(data)}` "
                f"| `{sha256(tarball.read_bytes())}` |"
            )
            texts.append(f"## {package.name} {package.version} ({package.licence})\n\n```\n{licence}\n```\n")
            print(f"{output}: {len(data)} bytes")
    head = (
        "# Files others wrote\n\nMade by `scripts/vendor.py`; a test compares the hashes.\n\n"
        "| file | package | version | licence | sha256 of the file | sha256 of the tarball |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    (STATIC / "vendor" / "LICENSES.md").write_text(head + "\n".join(rows) + "\n\n" + "\n".join(dict.fromkeys(texts)))


if __name__ == "__main__":
    main()
