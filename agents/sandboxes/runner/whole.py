"""The modules that a sandbox's Python, or the nursery, loads at its start, compiled into one file beside this package.

Finding, checking and opening a dozen files takes about as long as what is in them. ``python3 -I -S whole.py``, run
once by the Python that will read the file, writes it; the command that starts the runner executes it (see
``boxes.runtime``). Modules asked for later, and Pythons of another kind, have the package's own files.
"""

from __future__ import annotations
import __future__

import ast
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PACKAGE, PLACE = "runner", "/opt/holdfast"  # where it is shown inside
NAME = "whole." + str(sys.implementation.cache_tag)
# What the file does when it is executed, after ``modules``: the code of each by its name.
_FINDER = f"""
import sys
from marshal import loads

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name not in modules:
            return None
        spec = Spec(name, self, origin={PLACE!r} + '/' + name, is_package=name == {PACKAGE!r})
        if name == {PACKAGE!r}:
            spec.submodule_search_locations.append({PLACE!r} + '/' + name)
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(loads(modules.pop(module.__name__)), module.__dict__)

Spec = type(sys.__spec__)
sys.meta_path.insert(0, Finder())
"""


class _WithoutFuture(ast.NodeTransformer):
    """Leaves out what is given to the compiler instead, and would have a module loaded for nothing."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        return None if node.module == "__future__" else node


def _compiled(path: str, shown_as: str) -> bytes:
    with open(path, encoding="utf-8") as handle:
        tree = _WithoutFuture().visit(ast.parse(handle.read()))
    flags = __future__.annotations.compiler_flag
    return marshal.dumps(compile(tree, shown_as, "exec", flags=flags, dont_inherit=True, optimize=2))


def main() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    top = os.path.dirname(here)
    sys.path.insert(0, top)
    for name in ("__main__", "door", "serve", "nursery"):  # and what they load in turn
        __import__(f"{PACKAGE}.{name}")
    modules = {}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == PACKAGE:
            path = str(module.__file__)
            modules[name] = _compiled(path, os.path.join(PLACE, PACKAGE, os.path.basename(path)))
    code = compile(f"modules = {modules!r}\n{_FINDER}", os.path.join(PLACE, NAME), "exec")
    with open(os.path.join(top, NAME), "wb") as out:
        marshal.dump(code, out)


if __name__ == "__main__":
    main()
