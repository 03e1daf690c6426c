"""A shell command taken apart into the simple commands it would run. Pure.

Rules about commands judge each of those by itself, so that a rule for ``ls`` says nothing about
``ls; rm -rf /``. What this scanner doesn't understand it calls ``Unclear``; it never guesses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

UNKNOWN = "\0"  # stands in a word for text that only the shell knows: $x, $(…), globs, braces
ANYTHING = (UNKNOWN,)  # a command nobody can know: any words, any number of them
MAX_LENGTH = 100_000
MAX_DEPTH = 8
SKIPPED = frozenset({"if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{", "}"})
NOT_READ = frozenset({"for", "case", "esac", "select", "function", "coproc", "[["})
SHELLS = frozenset({"bash", "sh", "dash", "zsh", "ksh"})
ENDS = frozenset({"--version", "--help"})  # options with which a shell runs nothing
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\[[^]]*\])?\+?=")
REDIRECTION = re.compile(r"(&>>|&>|[0-9]*(?:>>|>\||>&|>|<<|<&|<>|<))")
NAMED = r"(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])"
# Nothing that the shell would evaluate again: no arithmetic (${x:y}), no ${x@P}, no ${x:=y}, no ${x[y]}.
PARAMETER = re.compile(
    rf"\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]|\{{#?{NAMED}(?:(?::?[+?-]|[#%/])[^$`'\"\\{{}}]*)?\}})"
)
OPERATORS = ("&&", "||", "|&", ";", "|", "&", "\n")
BLANK, END_OF_WORD, FILLED_IN = " \t", " \t\n;&|<>()", "*?[{}"


class Unclear(Exception):
    """The text uses syntax that this scanner doesn't read."""


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command, its words without their quotes.

    ``plain`` is false if it does more than its words say: sets variables, writes to a file by
    redirection, or holds text that a command may run later.
    """

    words: tuple[str, ...]
    plain: bool = True

    @property
    def line(self) -> str:
        return " ".join(self.words)


def commands(text: str) -> list[Command]:
    """Every simple command in ``text``, those in pipes, lists, subshells and substitutions too.

    Raises ``Unclear``.
    """
    if len(text) > MAX_LENGTH:
        raise Unclear
    return _within(text, 0)


def _within(text: str, depth: int) -> list[Command]:
    scanner = _Scanner(text, depth)
    scanner.read_list("")
    return scanner.found


@dataclass(slots=True)
class _Simple:
    """The simple command being read."""

    words: list[str] = field(default_factory=list)
    plain: bool = True
    begun: bool = False


@dataclass(slots=True)
class _Scanner:
    text: str
    depth: int = 0
    at: int = 0
    found: list[Command] = field(default_factory=list)

    def read_list(self, end: str) -> None:
        """Read commands up to the closing character ``end`` ("" is the end of the text)."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unclear
        now = _Simple()
        while (char := self._peek()) != end:
            if char == "":
                raise Unclear
            operator = next((one for one in OPERATORS if self.text.startswith(one, self.at)), "")
            if char in BLANK:
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif char == "#":
                self._skip_comment()
            elif match := REDIRECTION.match(self.text, self.at):
                self._redirect(match, now)
            elif operator:
                self._finish(now)
                now = _Simple()
                self._pass(operator)
            elif char == "(":
                self._subshell(now)
            elif char == ")":
                raise Unclear
            else:
                self._take_word(now)
        self._finish(now)
        self.at += len(end)
        self.depth -= 1

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _pass(self, operator: str) -> None:
        self.at += len(operator)
        if operator == ";" and self._peek() in (";", "&"):
            raise Unclear

    def _skip_comment(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def _subshell(self, now: _Simple) -> None:
        if now.begun or self.text.startswith("((", self.at):
            raise Unclear  # a function's definition, an array, arithmetic
        self.at += 1
        self.read_list(")")

    def _take_word(self, now: _Simple) -> None:
        start = self.at
        word = self._word()
        raw = self.text[start : self.at]
        if not now.words and ASSIGNMENT.match(raw):
            now.plain, now.begun = False, True
            return
        if not now.begun and raw in SKIPPED:
            return
        if not now.words and (raw in NOT_READ or UNKNOWN in word or not word):
            raise Unclear  # which command this is, is known to the shell alone
        now.begun = True
        now.words.append(word)

    def _redirect(self, match: re.Match[str], now: _Simple) -> None:
        operator = match.group().lstrip("0123456789")
        self.at = match.end()
        if operator == "<<" or self._peek() == "(":
            raise Unclear  # here-documents and process substitutions
        while self._peek() and self._peek() in BLANK:
            self.at += 1
        target = self._word()
        if not target:
            raise Unclear
        duplicates = operator in (">&", "<&") and (target.isdigit() or target == "-")
        reads = operator == "<" and UNKNOWN not in target and not target.startswith("/dev/")
        if not (reads or duplicates or target == "/dev/null"):
            now.plain = False
        now.begun = True

    def _finish(self, now: _Simple) -> None:
        if not now.words:
            if not now.plain:
                self.found.append(Command((), plain=False))
            return
        again = any("$(" in word or "`" in word for word in now.words)  # printf -v 'a[$(…)]' runs it after all
        self.found.append(Command(tuple(now.words), now.plain and not again))
        self._look_inside(now.words)

    def _look_inside(self, words: list[str]) -> None:
        """What a command gives to a shell to run is read as well."""
        name = words[0].rsplit("/", 1)[-1]
        script: str | None = None
        if name == "eval":
            script = " ".join(words[1:])
        elif name in SHELLS and len(words) > 1:
            place = next((i for i, word in enumerate(words) if re.fullmatch(r"-[a-z]*c[a-z]*", word)), None)
            script = words[place + 1] if place is not None and place + 1 < len(words) else None
        options = words[1:]
        reads_it = all(word.startswith("-") for word in options) or "-s" in options
        if script is None and name in SHELLS and reads_it and not ENDS.intersection(options):
            self.found.append(Command(ANYTHING, plain=False))  # what comes on its standard input
        if script is not None:
            if UNKNOWN in script:
                raise Unclear
            self.found += _within(script, self.depth)

    def _word(self) -> str:
        made: list[str] = []
        while (char := self._peek()) and char not in END_OF_WORD:
            if char == "\\":
                made.append(self._escaped())
            elif char == "'":
                made.append(self._single())
            elif char == '"':
                made.append(self._double())
            elif char == "$" or char == "`":
                made.append(self._filled_in(quoted=False))
            else:
                made.append(UNKNOWN if char in FILLED_IN and not self._alone(char) else char)
                self.at += 1
        return "".join(made)

    def _alone(self, char: str) -> bool:
        """A brace that is a word by itself is a keyword."""
        after = self.text[self.at + 1 : self.at + 2]
        before = self.text[self.at - 1 : self.at]
        return char in "{}" and (not after or after in END_OF_WORD) and (not before or before in END_OF_WORD)

    def _escaped(self) -> str:
        char = self.text[self.at + 1 : self.at + 2]
        self.at += 2
        return "" if char == "\n" else char

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise Unclear
        body = self.text[self.at + 1 : end]
        self.at = end + 1
        return body

    def _double(self) -> str:
        made: list[str] = []
        self.at += 1
        while (char := self._peek()) != '"':
            if char == "":
                raise Unclear
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\", "\n"):
                made.append(self._escaped())
            elif char in "$`":
                made.append(self._filled_in(quoted=True))
            else:
                made.append(char)
                self.at += 1
        self.at += 1
        return "".join(made)

    def _filled_in(self, *, quoted: bool) -> str:
        """A ``$`` or a backtick: what it runs is read, what it yields is unknown."""
        if self._peek() == "`":
            end = self.text.find("`", self.at + 1)
            body = self.text[self.at + 1 : end]
            if end < 0 or "\\" in body:
                raise Unclear
            self.found += _within(body, self.depth)
            self.at = end + 1
            return UNKNOWN
        if self.text.startswith("$((", self.at):
            raise Unclear
        if self.text.startswith("$(", self.at):
            self.at += 2
            self.read_list(")")
            return UNKNOWN
        if match := PARAMETER.match(self.text, self.at):
            self.at = match.end()
            return UNKNOWN
        after = self.text[self.at + 1 : self.at + 2]
        if after and after not in END_OF_WORD + '"' and (after in "{'[" or not quoted):
            raise Unclear  # ${…} with code inside, $'…'
        self.at += 1
        return "$"
