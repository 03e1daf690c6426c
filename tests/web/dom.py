"""A small DOM: enough to put pushed fragments into a page the way htmx does, and to compare it with a reload."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "use", "path", "wbr"})


@dataclass(eq=False)
class Node:
    """An element; ``children`` are elements and texts."""

    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)
    parent: Node | None = None

    @property
    def elements(self) -> list[Node]:
        return [child for child in self.children if isinstance(child, Node)]

    def every(self) -> list[Node]:
        """The element and all below it."""
        return [self, *(deeper for child in self.elements for deeper in child.every())]

    def find(self, element_id: str) -> Node | None:
        return next((node for node in self.every() if node.attributes.get("id") == element_id), None)

    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def html(self) -> str:
        """Written one way only, with the space between elements folded."""
        names = sorted(self.attributes.items())
        attributes = "".join(f" {name}" if value is None else f' {name}="{value}"' for name, value in names)
        inside = "".join(" ".join(c.split()) if isinstance(c, str) else c.html() for c in self.children)
        return f"<{self.tag}{attributes}>{inside}</{self.tag}>"

    def replace(self, new: list[Node]) -> None:
        assert self.parent is not None
        for node in new:
            node.parent = self.parent
        at = self.parent.children.index(self)
        self.parent.children[at : at + 1] = new

    def inside(self, content: Node) -> None:
        self.children = list(content.children)
        for node in self.elements:
            node.parent = self


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.open = Node("#root")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs), parent=self.open)
        self.open.children.append(node)
        if tag not in VOID:
            self.open = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.children.append(Node(tag, dict(attrs), parent=self.open))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open.tag == tag, f"</{tag}> closes <{self.open.tag}>"
        assert self.open.parent is not None
        self.open = self.open.parent

    def handle_data(self, data: str) -> None:
        self.open.children.append(html.escape(data, quote=False))


def parse(text: str) -> Node:
    """The root of a fragment; every element must be closed."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert builder.open is builder.root, f"<{builder.open.tag}> is never closed"
    return builder.root


def apply(page: Node, frame: dict[str, str]) -> None:
    """Put one pushed frame into the page: rows by upsert, the inside of a place, everything else as partials."""
    content = parse(frame["content"])
    place = page.find(frame["target"].removeprefix("#"))
    assert place is not None
    if frame["swap"] in ("innerMorph", "innerHTML"):
        place.inside(content)
        return
    by = frame["swap"].removeprefix("upsert key:")
    assert by in ("data-seq", "data-place")
    for node in content.elements:
        if node.tag == "hx-partial":
            _partial(page, node)
        else:
            _upsert(place, node, by)


def _upsert(log: Node, row: Node, by: str) -> None:
    known = log.find(str(row.attributes["id"]))
    if known is not None:
        known.replace([row])
        return
    row.parent = log
    key = _key(row, by)
    after = [index for index, child in enumerate(log.children) if isinstance(child, Node) and _key(child, by) > key]
    log.children.insert(after[0] if after else len(log.children), row)


def _key(row: Node, by: str) -> list[float]:
    """As the page's own ``upsert`` compares: number by number."""
    return [float(part) for part in (row.attributes.get(by) or "inf").split(".")]


def _partial(page: Node, partial: Node) -> None:
    target, swap = str(partial.attributes["hx-target"]), partial.attributes["hx-swap"]
    if swap == "delete":
        assert target == "#log > .streaming"
        log = page.find("log")
        assert log is not None
        log.children = [c for c in log.children if isinstance(c, str) or "streaming" not in str(c.attributes["class"])]
        return
    place = page.find(target.removeprefix("#"))
    if place is None:
        return
    if swap == "outerHTML":
        place.replace(partial.elements)
    elif swap == "innerMorph":
        place.children = list(partial.children)
    else:
        assert swap == "beforeend"
        place.children += partial.children
