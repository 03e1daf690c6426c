"""From a planned step to a call of a tool the request really offers. Pure."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.providers.demo.toolbox import Call, Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.providers.demo.planner import Step

DELEGATES = ("send_to_agent", "send_message", "delegate", "create_thread", "task", "agent")


@dataclass(frozen=True, slots=True)
class Impossible:
    """Why a step cannot be done with the tools at hand."""

    why: str


def call_for(step: Step, tools: Toolbox) -> Call | Impossible:
    """The call that does ``step``, by its own tool or, failing that, by the shell."""
    return _ACTIONS[step.kind](step.args, tools)


def describe(step: Step) -> str:
    """The step in words, as shown before it runs and in the report."""
    args = step.args
    match step.kind:
        case "write":
            return f"write {args['path']}"
        case "edit" | "read":
            return f"{step.kind} {args['path']}"
        case "run":
            return f"run `{args['command']}`"
        case "list":
            return f"list files in {args['folder']}" if "folder" in args else "list files"
        case "find" | "search":
            return f"{step.kind} for `{args['pattern']}`"
        case "use":
            return f"use {args['tool']}"
        case "ask":
            return f"ask {args['agent']}"
        case "wait":
            return f"wait {args['seconds']} s"
        case _:
            return f"{step.kind} {next(iter(args.values()), '')}".strip()


def _write(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    if tools.has("write"):
        return tools.call("write", path=args["path"], content=args["content"])
    path = shlex.quote(args["path"])
    return _shell(f"printf %s {shlex.quote(args['content'])} > {path}", tools, "write")


def _edit(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    if tools.has("edit"):
        return tools.call("edit", path=args["path"], old=args["old"], new=args["new"])
    return _missing("edit")


def _read(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    if tools.has("read"):
        return tools.call("read", path=args["path"])
    return _shell(f"cat -- {shlex.quote(args['path'])}", tools, "read")


def _run(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    return _shell(args["command"], tools)


def _list(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    folder = args.get("folder")
    if tools.has("glob"):
        where = {} if folder is None else {"folder": folder}
        return tools.call("glob", pattern="**/*", **where)
    return _shell(f"ls -la -- {shlex.quote(folder or '.')}", tools, "glob")


def _find(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    if tools.has("glob"):
        return tools.call("glob", pattern=args["pattern"])
    return _shell(f"find . -name {shlex.quote(args['pattern'])}", tools, "glob")


def _search(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    folder = args.get("folder")
    if tools.has("grep"):
        where = {} if folder is None else {"folder": folder}
        return tools.call("grep", pattern=args["pattern"], **where)
    target = shlex.quote(folder or ".")
    return _shell(f"grep -rn -e {shlex.quote(args['pattern'])} -- {target}", tools, "grep")


def _websearch(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    if tools.has("web_search"):
        return tools.call("web_search", query=args["query"])
    return _missing("web_search")


def _fetch(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    if tools.has("web_fetch"):
        return tools.call("web_fetch", url=args["url"])
    return _missing("web_fetch")


def _use(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    name = args["tool"]
    if not tools.has(name):
        return _missing(name)
    if "json" not in args:
        return tools.call(name)
    try:
        given = json.loads(args["json"])
    except ValueError:
        given = None
    if not isinstance(given, dict):
        return Impossible("the input after “with” is not a JSON object")
    return Call(name, given)


def _ask(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    name = tools.containing(*DELEGATES)
    if name is None:
        return Impossible("it needs a tool to send work to another agent, which is not offered")
    return tools.call(name, agent=args["agent"], message=args["message"])


def _wait(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    return _shell(f"sleep {args['seconds']}", tools)


def _say(args: dict[str, str], tools: Toolbox) -> Call | Impossible:
    return Impossible("said, not done: " + args["content"])


def _shell(command: str, tools: Toolbox, instead: str | None = None) -> Call | Impossible:
    if tools.has("bash"):
        return tools.call("bash", command=command)
    return _missing("bash" if instead is None else f"{instead} or bash")


def _missing(name: str) -> Impossible:
    return Impossible(f"it needs the tool {name}, which is not offered")


_ACTIONS: dict[str, Callable[[dict[str, str], Toolbox], Call | Impossible]] = {
    "write": _write,
    "edit": _edit,
    "read": _read,
    "run": _run,
    "list": _list,
    "find": _find,
    "search": _search,
    "websearch": _websearch,
    "fetch": _fetch,
    "use": _use,
    "ask": _ask,
    "wait": _wait,
    "say": _say,
}
