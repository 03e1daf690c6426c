"""The same calls through the SDK's reference tools and through ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.lib.tools import ToolError
from anthropic.lib.tools._beta_functions import aclose_runnable_tool
from anthropic.lib.tools.agent_toolset import AgentToolContext, beta_agent_toolset_20260401

from agents.sandboxes.conformance import text

if TYPE_CHECKING:
    from pathlib import Path

    from agents.sandboxes.conformance import Bench

pytestmark = pytest.mark.sandbox

# One story: each row sees the files and the shell that the rows before it left.
STORY: list[tuple[str, dict[str, Any]]] = [
    ("bash", {"command": "echo out; echo err >&2"}),
    ("bash", {"command": "cd sub 2>/dev/null || mkdir sub && cd sub && export V=7 && f() { echo f$V; }"}),
    ("bash", {"command": "basename $PWD; f"}),
    ("bash", {"command": "cat; echo [$(cat)]"}),
    ("bash", {"command": "false"}),
    ("bash", {"command": "echo seen; (exit 3)"}),
    ("bash", {"command": "printf '\\033[1;31mred\\033[0m plain\\n'"}),
    ("bash", {"command": "printf 'a\\xffb\\n'"}),
    ("bash", {"command": "printf '\\n\\nlead\\n\\n\\n'"}),
    ("bash", {"command": "echo $TERM; test -t 0 || echo no terminal"}),
    ("bash", {"command": "sleep 5", "timeout_ms": 300}),
    ("bash", {"restart": True}),
    ("bash", {"command": "echo [$V]; basename $PWD"}),
    ("bash", {}),
    ("write", {"file_path": "d/e/a.txt", "content": "one\ntwo\nthree\ntwo\n"}),
    ("write", {"file_path": "d", "content": "x"}),
    ("read", {"file_path": "d/e/a.txt"}),
    ("read", {"file_path": "d/e/a.txt", "view_range": [2, 3]}),
    ("read", {"file_path": "d/e/a.txt", "view_range": [4, -1]}),
    ("read", {"file_path": "d/e/a.txt", "view_range": [9, 12]}),
    ("read", {"file_path": "d/e/a.txt", "view_range": [3, 2]}),
    ("read", {"file_path": "d"}),
    ("read", {"file_path": "missing"}),
    ("read", {"file_path": "d/e/a.txt/x"}),
    ("edit", {"file_path": "d/e/a.txt", "old_string": "three", "new_string": "3"}),
    ("edit", {"file_path": "d/e/a.txt", "old_string": "two", "new_string": "2"}),
    ("edit", {"file_path": "d/e/a.txt", "old_string": "two", "new_string": "2", "replace_all": True}),
    ("edit", {"file_path": "d/e/a.txt", "old_string": "absent", "new_string": ""}),
    ("edit", {"file_path": "missing", "old_string": "a", "new_string": "b"}),
    ("read", {"file_path": "d/e/a.txt"}),
    ("bash", {"command": "printf '\\xff\\xfe' > bad.txt; printf GIF89a > i.gif; printf '%%PDF-1' > p.pdf"}),
    ("read", {"file_path": "bad.txt"}),
    ("edit", {"file_path": "bad.txt", "old_string": "a", "new_string": "b"}),
    ("read", {"file_path": "i.gif"}),
    ("read", {"file_path": "p.pdf"}),
    ("read", {"file_path": "p.pdf", "view_range": [1, 2]}),
    ("bash", {"command": "seq 1 60000 > long.txt; printf '\\r\\n' > crlf"}),
    ("bash", {"command": "head -c 300000 /dev/zero | tr '\\0' x > line.txt"}),
    ("read", {"file_path": "long.txt"}),
    ("read", {"file_path": "long.txt", "view_range": [59999, 60000]}),
    ("read", {"file_path": "long.txt", "view_range": [1, 0]}),
    ("read", {"file_path": "line.txt", "view_range": [1, 1]}),
    ("read", {"file_path": "crlf"}),
    ("edit", {"file_path": "long.txt", "old_string": "1", "new_string": "2"}),
    ("glob", {"pattern": "**/*.txt", "path": "d"}),
    ("glob", {"pattern": "*.nothing"}),
    ("glob", {"pattern": "/etc/*"}),
    ("glob", {"pattern": "../*"}),
    ("grep", {"pattern": "^o.e$", "path": "d"}),
    ("grep", {"pattern": "^5999[0-4]$", "path": "long.txt"}),
    ("grep", {"pattern": "nowhere to be found"}),
]  # fmt: skip


def reference_answers(workdir: Path) -> list[tuple[Any, bool]]:
    async def tell() -> list[tuple[Any, bool]]:
        context = AgentToolContext(workdir=workdir, env={"PATH": "/usr/bin:/bin"})
        tools = {tool.name: tool for tool in beta_agent_toolset_20260401(context)}
        answers: list[tuple[Any, bool]] = []
        for name, given in STORY:
            try:
                answers.append((await tools[name].call(given), False))
            except ToolError as error:
                answers.append((error.content, True))
        await aclose_runnable_tool(tools["bash"])
        return answers

    return asyncio.run(tell())


def alike(answer: Any, root: str) -> Any:
    """A reference answer in our words: its directory is our workspace, an empty text is spelled out."""
    if isinstance(answer, str):
        return answer.replace(root, "/workspace") or "(no output)"
    return list(answer)


def test_our_tools_answer_as_the_reference_does(bench: Bench, tmp_path: Path) -> None:
    workdir = tmp_path / "workspace"
    workdir.mkdir()
    bench.open()
    different = []
    for (name, given), (answer, is_error) in zip(STORY, reference_answers(workdir), strict=True):
        result = bench.call(name, **given)
        ours = text(result) if isinstance(answer, str) else result.content
        if ours == "(no output, exit status 1)":  # said in full by ours, empty there
            ours = "(no output)"
        theirs = alike(answer, str(workdir))
        if (ours, result.is_error) != (theirs, is_error):
            different.append((name, given, theirs if len(str(theirs)) < 500 else "long", str(ours)[-500:]))
    assert different == []
