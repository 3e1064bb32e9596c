"""When two messages are alike, so that translating one tells how to translate the other.

Archives send few forms of message: the same elements, other values. What translation
does depends on a value only through a handful of questions: is it a code that the mapping
knows, a date, an integer, an id, a safe file name. Two messages are alike when
they have the same elements and the same answers; then whatever becomes of a title in one
becomes of the title in the other. (Values are also compared with each other; that is
seen while a stencil is made, and asked whenever it is used.)

What is neither plainly an ordinary value nor known to the mapping counts as itself: only
the very same value is alike. So a question forgotten here costs speed, not truth.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from lxml import etree

from gateway.record import escaped
from gateway.translate.documents import is_ordinary_name
from gateway.translate.profile import Profile
from gateway.translate.scope import Facts
from gateway.translate.values import GUID, moment, oslo_offset, read_date, repair_date

MARK = "\ue000"
"""Begins a mark (`gateway.translate.stencil`): a message that holds it is like no other."""

_LONGEST = 200_000
"""Characters of XML. Longer messages are rare and nothing is won by knowing their form."""


TEXT, INTEGER, DATE, MIDNIGHT, MOMENT, ID, NAME = range(7)


class Sort:
    """What alike values share: the kind (one of the seven above), and what is `fixed`
    besides, such as a date's offset in Oslo. What such a value says plays no part in what
    is done with it. Make it with `sort`; two sorts are the same only when identical."""

    __slots__ = ("fixed", "kind")

    def __init__(self, kind: int, fixed: str) -> None:
        self.kind = kind
        self.fixed = fixed


@lru_cache(maxsize=1024)
def sort(kind: int, fixed: str = "") -> Sort:
    return Sort(kind, fixed)


_TEXT = sort(TEXT)
_INTEGER = sort(INTEGER)

_DATE_FORM = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T00:00:00(?:Z|[+-][0-9]{2}:[0-9]{2})?)?")
_MOMENT_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{12}[+-][0-9]{2}:[0-9]{2}")
_ID_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-([1-8])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""As RFC 9562 has them, with the version."""
_ID_LENGTH = 36
_COMPACT_DATE = 8
"""Digits of a date without anything between them."""
_LIKE_A_NUMBER = re.compile(r"[\s\d+\-.:TZ]*")


@dataclass(frozen=True, slots=True)
class Questions:
    """What a mapping asks of values, by the names of their elements.

    `kept`: so much that a value counts as it stands, as of codes. `asked`: whether it is a
    date, an integer, an id, or one of `literals`. `names` are those of files. Of all
    others nothing is asked but whether they are there. `offsets`: dates are written with
    Oslo's offset.
    """

    kept: frozenset[str]
    asked: frozenset[str]
    names: frozenset[str]
    literals: frozenset[str]
    offsets: bool


_KEPT = ("veMimeType", "veDokformat", "dlRnr", "dokumentnummer")
"""Types of file decide more than one thing, numbers of documents are compared."""

_WORD = re.compile(r"\w+")


def find_questions(profiles: Sequence[Profile], kinds: Mapping[str, str]) -> Questions:
    """What any line of `profiles` asks, and a loss report that knows these `kinds`."""
    kept = {*_KEPT, *(_leaf(path) for path, kind in kinds.items() if kind == "code")}
    asked = {_leaf(path) for path, kind in kinds.items() if kind in ("integer", "date")}
    names: set[str] = set()
    literals = {"0"}
    for profile in profiles:
        literals |= profile.rules.missing_dates
        for line in (*profile.melding, *(one for g in profile.groups for one in g.lines)):
            fields = [_leaf(name) for name in (line.edu, line.am) if name]
            if line.kind == "file":
                names.update(fields)
            elif line.kind == "code":
                kept.update(fields)
            elif line.kind != "text" or line.value:
                asked.update(fields)
            for text in (line.value, line.otherwise, line.truth):
                asked.update(_arguments(text or ""))
            for condition in (line.when or "", *(group.when or "" for group in profile.groups)):
                kept.update(_tested(condition, kinds=False))
                asked.update(_tested(condition, kinds=True))
    return Questions(
        frozenset(kept - names),
        frozenset(asked - names - kept),
        frozenset(names),
        frozenset(literals),
        any(profile.rules.with_offset for profile in profiles),
    )


def _arguments(text: str) -> Iterator[str]:
    """Names of which a function asks more than whether they are there."""
    for part in text.split(" else "):
        if part.strip().startswith("$") and not part.strip().startswith(("$field", "$uuid")):
            yield from _WORD.findall(part)


def _tested(condition: str, *, kinds: bool) -> Iterator[str]:
    """Names that a condition asks whether they are an id or a date (`kinds`), or what."""
    for test in condition.split(" and "):
        names, _, rest = test.strip().partition(" ")
        asks = rest not in ("present", "empty", "")
        if asks and kinds == rest.endswith((" uuid", " date")):
            yield from (_leaf(name) for name in names.split("|"))


def _leaf(name: str) -> str:
    return name.rpartition("/")[2]


Picker = Callable[[Sequence[str]], tuple[str, ...]]
Key = tuple[Hashable, ...]


class Letter(NamedTuple):
    """One message as its form and its values.

    `pieces` is its XML cut at every ``<`` and ``>``. `free` are the values, or the part
    of each that may differ between alike messages; `sorts` says of each what it is, or
    repeats it when it counts as it stands. All are as they stand in the XML, and
    `escaped` says whether that makes a difference.
    """

    pieces: list[str]
    form: Form
    key: Key
    free: list[str]
    escaped: bool
    sorts: list[Sort | str]


class Form:
    """The elements of alike messages, and where their values are."""

    def __init__(self, tags: Sequence[str], questions: Questions) -> None:
        leaves = [
            at
            for at, (tag, following) in enumerate(pairwise(tags))
            if following.startswith("/") and not tag.startswith("/") and not tag.endswith("/")
        ]
        names = [_local(tags[at]) for at in leaves]
        counted = Counter(_local(tag) for tag in tags if not tag.startswith("/"))
        special = questions.names | questions.asked | questions.kept
        self.at_names = [at for at, name in zip(leaves, names, strict=True)
                         if name in questions.names]  # fmt: skip
        self.at_asked = [at for at, name in zip(leaves, names, strict=True)
                         if name in questions.asked]  # fmt: skip
        self.at_kept = [at for at, name in zip(leaves, names, strict=True)
                        if name in questions.kept]  # fmt: skip
        self.at_plain = [at for at, name in zip(leaves, names, strict=True)
                         if name not in special]  # fmt: skip
        self.now = len(self.at_asked)
        self.places = (*self.at_asked, None, *self.at_names, *self.at_plain)
        """Where the tag in front of each value is, as `Letter.free` has them; the time
        `now` is none of the message's, nor are those behind."""
        self.conversation_id = len(self.places)
        chosen = frozenset(leaves)
        self.names, self.asked = picker(self.at_names), picker(self.at_asked)
        self.kept, self.plain = picker(self.at_kept), picker(self.at_plain)
        self.strays = picker([at for at in range(len(tags)) if at not in chosen])
        # A file without a name of its own is named after other values, and one leaf may
        # hide another; comments and the like are no business of ours.
        self.usable = (
            len(self.at_names) == max(counted["dokument"], counted["dokumentobjekt"])
            and not _has_repeated_leaf(tags)
            and not any(tag.startswith(("!", "?")) for tag in tags)
        )


def _has_repeated_leaf(tags: Sequence[str]) -> bool:
    """Whether an object has two values of one name."""
    inside: list[set[str]] = [set()]
    for tag, following in pairwise((*tags, "")):
        if tag.startswith("/"):
            inside.pop()
        elif not tag.endswith("/"):
            name = _local(tag)
            if following.startswith("/"):
                if name in inside[-1]:
                    return True
                inside[-1].add(name)
            inside.append(set())
    return False


def picker(places: Sequence[int]) -> Picker:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda texts: tuple(texts[at] for at in places)


def _local(tag: str) -> str:
    return tag.partition(" ")[0].rstrip("/").rpartition(":")[2]


class Reader:
    """Reads messages as letters of a form. Remembers forms, a bounded number of them."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._sorted = lru_cache(maxsize=4096)(self._sort)
        self._forms: dict[str, Form] = {}

    def read(
        self, root: etree._Element, facts: Facts, context: Hashable, files: Container[str]
    ) -> Letter | None:
        """The message as a letter; None when it is like no other.

        Alike messages share `context` too, and which of their files are in `files`.
        """
        xml = etree.tostring(root, encoding="unicode", with_tail=False)
        if len(xml) > _LONGEST or MARK in xml:
            return None
        pieces = xml.replace(">", "<").split("<")
        form = self._form(pieces[1::2])
        texts = pieces[2::2]
        strays = form.strays(texts)
        if not form.usable or (any(strays) and "".join(strays).strip()):
            return None
        names = form.names(texts)
        pairs = [
            *[
                (_INTEGER, text)
                if text.isdigit() and _is_canonical(text) and len(text) != _COMPACT_DATE
                else self._sorted(text)
                for text in form.asked(texts)
            ],
            self._sorted(moment(facts.now)),
            *map(_sorted_name, names),
        ]
        sorts, free = map(list[Any], zip(*pairs, strict=True))
        if _NOT_SAFE in sorts or (len(names) > 1 and len({*map(str.lower, names)}) < len(names)):
            return None
        plain = (*form.plain(texts), escaped(facts.conversation_id))
        if tuple(map(str.strip, plain)) == plain and "\n" not in "".join(plain):
            sorts += [_TEXT] * len(plain)
        else:
            sorts += [text if _is_odd(text) else _TEXT for text in plain]
        fixed = (*form.kept(texts), facts.system, facts.sender_orgnr)
        sorts += fixed
        free += plain
        free += fixed
        key = (context, tuple([name in files for name in names]), tuple(sorts))
        return Letter(pieces, form, key, free, "&" in xml, sorts)

    def _form(self, tags: list[str]) -> Form:
        text = "<".join(tags)
        form = self._forms.get(text)
        if form is None:
            form = Form(tags, self._questions)
            if len(self._forms) >= _FORMS:
                self._forms.clear()
            self._forms[text] = form
        return form

    def forget(self) -> None:
        """Begin anew."""
        self._forms.clear()

    def _sort(self, text: str) -> tuple[Sort | str, str]:
        """What kind of value it is, or itself, and the part of it that is free."""
        if text in self._questions.literals or _is_odd(text):
            return text, text
        if not _LIKE_A_NUMBER.fullmatch(text):
            if len(text) == _ID_LENGTH and (match := _ID_FORM.fullmatch(text)):
                return sort(ID, match.group(1)), text
            return (text if GUID.fullmatch(text) else _TEXT), text
        if match := _DATE_FORM.fullmatch(text):
            return self._sort_day(text, *match.groups())
        if _MOMENT_FORM.fullmatch(text) and is_moment(text):
            return sort(MOMENT, text[:10] + text[-6:]), text
        if text.isdigit() and _is_canonical(text) and repair_date(text) is None:
            return _INTEGER, text
        return text, text

    def _sort_day(self, text: str, day: str, begin: str | None) -> tuple[Sort | str, str]:
        if day in self._questions.literals or read_date(day) is None:
            return text, text
        kind = DATE if begin is None else MIDNIGHT
        offset = oslo_offset(day) if self._questions.offsets else ""
        return sort(kind, f"{begin or ''}|{offset}"), day


def _sorted_name(name: str) -> tuple[Sort | str, str]:
    """As `Reader._sort` for the name of a file."""
    stem, dot, ending = name.rpartition(".")
    return (sort(NAME, dot + ending) if is_ordinary_name(name) else _NOT_SAFE), stem


_NOT_SAFE = Sort(NAME, "")
_FORMS = 256


def _is_odd(text: str) -> bool:
    """White space at an end may be stripped, and lines may be told apart."""
    return text != text.strip() or "\n" in text


def _is_canonical(digits: str) -> bool:
    """Whether they are an integer as it is written; `digits` are digits of any kind."""
    return digits[0] != "0" and digits.isascii()


def is_moment(text: str) -> bool:
    try:
        return moment(datetime.fromisoformat(text)) == text
    except ValueError:
        return False
