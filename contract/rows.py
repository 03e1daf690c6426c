"""Rows of a form: as many small forms of one kind as a person wants, which plain buttons add, remove and move.

A button ``name="deed" value="add:rules"`` (or ``remove:rules:2``, ``up:rules:2``, ``down:rules:2``) sends the whole
form; the page comes back with the rows changed and nothing checked or saved. Scripts only swap the part that changed.
Rows left as empty as they came are none. Rows may hold rows: their prefix is ``servers-0-tools``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django import forms
from django.forms.formsets import BaseFormSet, formset_factory
from django.shortcuts import render
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from contract import door, metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from django.http import HttpResponse, QueryDict
    from django.utils.functional import Promise

    from contract.http import Request

    _Formset = BaseFormSet[Any]
else:
    _Formset = BaseFormSet

T = TypeVar("T")
LIMIT = 300  # rows of one kind that are taken at all; the API's own limits are below
DEED = re.compile(r"(add|remove|up|down):([a-z_]+(?:-\d{1,3}-[a-z_]+)*)(?::(\d{1,3}))?")


class Words(forms.CharField):
    """Text as it was typed, spaces at its ends too. What holds a line break is shown in a field that keeps it."""

    def __init__(self, *, source: bool = True, rows: int = 0, **kwargs: Any) -> None:
        attrs = {"autocomplete": "off"} | ({"class": "source", "spellcheck": "false"} if source else {})
        widget = forms.Textarea(attrs=attrs | {"rows": rows}) if rows else forms.TextInput(attrs=attrs)
        super().__init__(**{"required": False, "strip": False, "widget": widget} | kwargs)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.replace("\r\n", "\n").replace("\r", "\n") if isinstance(text, str) else text


class AlikeField(forms.ChoiceField):
    """A choice of which some values mean the same; one that is stored is kept where nothing else is chosen.

    ``alike`` names of each such value the choice it stands for.
    """

    def __init__(self, *, alike: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alike = alike

    def keep(self, value: Any) -> None:
        """Offer ``value`` in the place of the one it is like."""
        if value in self.alike:
            given = cast("Sequence[tuple[str, Any]]", self.choices)
            self.choices = [(value if name == self.alike[value] else name, label) for name, label in given]


class Row(forms.Form):
    """One row; ``value`` is the API's object of it. ``fields_of``: the form's fields by the API's, if they differ.

    One that was just added is unbound: it shows what rows begin with, and says nothing.
    """

    fields_of: Mapping[str, str] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if isinstance(field, AlikeField):
                field.keep(self[name].value())
            elif isinstance(field, Words) and "\n" in str(self[name].value() or ""):
                field.widget = forms.Textarea(attrs=field.widget.attrs | {"rows": 2})

    def has_changed(self) -> bool:
        return self.is_bound and super().has_changed()

    def is_valid(self) -> bool:
        return not self.is_bound or super().is_valid()

    @classmethod
    def shown(cls, value: Any) -> Mapping[str, Any]:
        """The fields that show a stored value."""
        return cast("Mapping[str, Any]", value)

    def value(self) -> Any:
        """What was typed, without what was left empty."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}

    def complain(self, path: str, text: str) -> None:
        """Put a complaint about the API's field at ``path`` ("" is the whole) where it belongs."""
        head = path.partition(".")[0]
        name = self.fields_of.get(head, head)
        self.add_error(name if name in self.fields else None, text)

    def complaints(self) -> Iterator[tuple[str, str]]:
        """The id of each field and what is wrong with it."""
        for name, errors in self.errors.items():
            place = self[name].auto_id if name in self.fields else f"id_{self.prefix}"
            yield str(place), " ".join(map(str, errors))


class Rows(_Formset):
    """Rows of one kind. ``label``, ``act`` (what the button says), ``hint`` and a row's ``template`` are for the page.

    ``ordered``: whether they can be moved.
    """

    template = "parts/cells.html"
    ordered = False
    label: str | Promise = ""
    act: str | Promise = ""
    hint: str | Promise = ""

    def __init__(self, data: Any = None, *, prefix: str, stored: Sequence[Any] = (), **shared: Any) -> None:
        self.stored = [self.form.shown(value) for value in stored] if data is None else []
        super().__init__(data, prefix=prefix, initial=self.stored, form_kwargs=shared)

    def initial_form_count(self) -> int:
        """None of what is sent back is older than the rest: any row may be emptied, and is gone then."""
        return 0 if self.is_bound else len(self.stored)

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        start = f"{self.prefix}-{index}-"
        added = self.is_bound and not any(name.startswith(start) for name in self.data)
        return super().get_form_kwargs(index) | ({"data": None, "files": None} if added else {})

    def kept(self) -> list[Any]:
        """The rows that say something, in their order."""
        return [form for form in self.forms if form.has_changed()]

    def value(self) -> list[Any]:
        return [form.value() for form in self.kept()]

    def complain(self, path: str, text: str) -> None:
        """``path`` begins with the number of a row as ``value`` counts them, or is about all of them."""
        number, _dot, rest = path.partition(".")
        kept = self.kept()
        if number.isdigit() and int(number) < len(kept):
            kept[int(number)].complain(rest, text)
        else:
            self.non_form_errors().append(text)

    def complaints(self) -> Iterator[tuple[str, str]]:
        if self.is_bound and self.non_form_errors():
            yield f"id_{self.prefix}", " ".join(map(str, self.non_form_errors()))
        for form in self.forms:
            yield from form.complaints()


def of(form: type[Row], kind: type[Rows] = Rows, **said: Any) -> Callable[..., Rows]:
    """A maker of rows of that form. ``said``: what the class of rows says of itself."""
    made = formset_factory(
        form, formset=type(f"{form.__name__}s", (kind,), said), extra=0, max_num=LIMIT, absolute_max=LIMIT
    )
    return cast("Callable[..., Rows]", made)


class PairRow(Row):
    """A pair of metadata."""

    key = Words(label=_("Key"), required=True, max_length=metadata.MAX_KEY)
    text = Words(label=_("Value"), max_length=metadata.MAX_VALUE)

    @classmethod
    def shown(cls, value: tuple[str, str]) -> Mapping[str, Any]:
        return {"key": value[0], "text": value[1]}

    def value(self) -> tuple[str, str]:
        return self.cleaned_data["key"], self.cleaned_data["text"]


class Pairs(Rows):
    """Metadata: pairs of texts, no key twice."""

    label = _("Metadata")
    act = _("Add a pair")
    hint = _("Words of your own; the model never sees them.")

    def clean(self) -> None:
        keys = [form.cleaned_data.get("key") for form in self.kept()]
        twice = next((key for key in keys if key and keys.count(key) > 1), None)
        if twice is not None:
            raise forms.ValidationError(_now("The key %(key)s is there twice.") % {"key": twice})

    def complain(self, path: str, text: str) -> None:
        """``path`` is the key of a pair here."""
        row = next((form for form in self.kept() if form.cleaned_data.get("key") == path), None)
        if row is None:
            self.non_form_errors().append(text)
        else:
            row.add_error("text", text)


_PAIRS = of(PairRow, Pairs)


def pairs(data: Any = None, stored: Mapping[str, str] | None = None, prefix: str = "metadata") -> Rows:
    """The metadata of a form. Its whole value is ``dict(rows.value())``."""
    return _PAIRS(data, prefix=prefix, stored=list((stored or {}).items()))


class WithMetadata(forms.Form):
    """A form of something that has metadata besides its fields; ``stored`` is what it has now.

    ``places``: which field a complaint about one of the API's belongs to, by the beginning of its path.
    """

    places: Mapping[str, str] = {}

    def __init__(self, data: Any = None, *args: Any, stored: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        self.stored = dict(stored or {})
        self.metadata = pairs(data, self.stored)

    def is_valid(self) -> bool:
        found = [super().is_valid(), self.metadata.is_valid()]
        return all(found)

    def metadata_body(self) -> dict[str, str | None]:
        """What a request sends: the pairs, and null for those that are gone."""
        now = dict(self.metadata.value())
        return {**{key: None for key in self.stored if key not in now}, **now}

    def body(self) -> dict[str, Any]:
        """The API's body of a form whose fields are called as the API's are."""
        return {**self.cleaned_data, "metadata": self.metadata_body()}

    def complain(self, path: str, text: str) -> None:
        """Put a complaint about the API's field at ``path`` at its field or pair."""
        head, _dot, rest = path.partition(".")
        if head == "metadata":
            self.metadata.complain(rest, text)
        else:
            name = next((name for start, name in self.places.items() if f"{path}.".startswith(f"{start}.")), head)
            field = name if name in self.fields else None
            self.add_error(field, text if field or not path else f"{path}: {text}")

    def complaints(self) -> list[tuple[str, str]]:
        """The id of each field that is wrong, and what is wrong with it."""
        own = [(name, errors) for name, errors in self.errors.items() if name in self.fields]
        told = [(str(self[name].auto_id), " ".join(map(str, errors))) for name, errors in own]
        return [*told, *self.metadata.complaints()]


def sent(request: Request) -> QueryDict | None:
    """What a page's form sent, with what a row's button asks for done."""
    if request.method != "POST":
        return None
    return edited(request.POST, request.POST.get("deed", ""))


def moves(request: Request) -> bool:
    """Whether a form was sent only to change its rows; then nothing is checked or saved."""
    return request.method == "POST" and bool(request.POST.get("deed"))


def attempt(request: Request, form: forms.BaseForm, act: Callable[[], T]) -> T | None:
    """As ``contract.door.attempt``; nothing where only rows were to be changed."""
    return None if moves(request) else door.attempt(form, act)


def form_page(request: Request, template: str, context: dict[str, Any]) -> HttpResponse:
    """A page with a form: 422 where it comes back with what is wrong with it, not where only its rows were changed."""
    refused = request.method == "POST" and not moves(request)
    return render(request, template, context, status=422 if refused else 200)


def edited(data: QueryDict, deed: str) -> QueryDict:
    """``data`` with a row added, removed or moved; unchanged where ``deed`` makes no sense."""
    found = DEED.fullmatch(deed)
    counter = f"{found[2]}-TOTAL_FORMS" if found else ""
    count = data.get(counter, "")
    if found is None or not (count.isascii() and count.isdigit() and len(count) <= len(str(LIMIT))):
        return data
    changed, total = data.copy(), int(count)
    if found[1] == "add":
        changed[counter] = str(min(total + 1, LIMIT))
        return changed
    order = _reordered(total, found[1], int(found[3] or 0))
    own = re.compile(rf"{re.escape(found[2])}-(\d+)-(.+)")
    for name in data:
        if own.fullmatch(name):
            del changed[name]
    for place, old in enumerate(order):
        start = f"{found[2]}-{old}-"
        for name in data:
            if name.startswith(start):
                changed.setlist(f"{found[2]}-{place}-{name.removeprefix(start)}", data.getlist(name))
    changed[counter] = str(len(order))
    return changed


def _reordered(total: int, what: str, index: int) -> list[int]:
    """The old places of the rows in their new order."""
    order = list(range(total))
    if index >= total:
        return order
    if what == "remove":
        return [place for place in order if place != index]
    other = index - 1 if what == "up" else index + 1
    if 0 <= other < total:
        order[index], order[other] = order[other], order[index]
    return order
