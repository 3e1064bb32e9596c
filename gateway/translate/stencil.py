"""Translations of known forms of message, made by filling in a stencil.

A stencil is made by translating a message whose values are replaced by marks, in the
ordinary way: wherever a mark comes out there is a hole for the value. It is kept only if,
filled with the true values, it gives what translating the true message gave. Whether a
message may use it is decided by `gateway.translate.alike`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from operator import eq
from typing import Any, NamedTuple

from lxml import etree

from gateway.errors import GatewayError
from gateway.model import Loss
from gateway.record import unescaped
from gateway.translate import alike
from gateway.translate.alike import MARK, Form, Key, Letter, Picker, Questions, Reader, Sort, picker
from gateway.translate.scope import Facts, Watch
from gateway.translate.values import derived_id, oslo_offset

_MOST = 400
"""Stencils that are kept; one takes about 20 KB."""

_MOST_SEEN = 10_000
_MOST_ALIKE = 6
"""Stencils, and attempts at making one, for messages that only comparisons tell apart."""


class Sheet(NamedTuple):
    """A translation as texts. `rows` tell of each document what the result needs."""

    xml: str
    losses: tuple[Loss, ...]
    rows: tuple[tuple[str | None, ...], ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """How one direction translates in the ordinary way.

    `run` gets the message, the facts, and what a file is called just now, since its name
    may be a mark. What is done depends besides on `context`, and on which of the names in
    the message are among `files`.
    """

    run: Callable[[etree._Element, Facts, Callable[[str], str]], Sheet]
    context: Hashable
    files: Container[str] = ()


class Stencils:
    """The stencils of one mapping and one direction; shared by threads."""

    def __init__(self, questions: Questions) -> None:
        self._reader = Reader(questions)
        self._seen: set[int] = set()
        self._made: dict[tuple[Form, Key], list[Stencil | None]] = {}

    def translate(self, root: etree._Element, facts: Facts, way: Way) -> Sheet:
        """The translation of `root`, whichever way is quicker; raises what `way` raises."""
        letter = self._reader.read(root, facts, way.context, way.files)
        if letter is None:
            return way.run(root, facts, str)
        place = (letter.form, letter.key)
        stencils = self._made.get(place, ())
        for stencil in stencils:
            if stencil is not None and (sheet := stencil.fill(letter)) is not None:
                return sheet
        if len(stencils) >= _MOST_ALIKE or not (stencils or self._again(hash(place))):
            return way.run(root, facts, str)
        watch = Watch()
        sheet = way.run(root, replace(facts, watch=watch), str)
        self._keep(place, _make(letter, facts, way, sheet, list(watch.derived)))
        return sheet

    def _keep(self, place: tuple[Form, Key], stencil: Stencil | None) -> None:
        if len(self._made) >= _MOST:
            self.forget()
        self._made.setdefault(place, []).append(stencil)

    def forget(self) -> None:
        """Begin anew, as if no message had been seen."""
        self._seen.clear()
        self._made.clear()
        self._reader.forget()

    def _again(self, seen: int) -> bool:
        """Whether there was one like it before; a single one is not worth a stencil."""
        if seen in self._seen:
            return True
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen.add(seen)
        return False


class Blank:
    """A text with holes: every second of `parts` is one, for the value of that number."""

    __slots__ = ("_pick", "holes", "parts")

    def __init__(self, parts: list[str], holes: Sequence[int]) -> None:
        self.parts = parts
        self.holes = holes
        self._pick = picker(holes)

    @property
    def is_value(self) -> bool:
        """One hole and nothing else."""
        return self.parts == ["", "", ""]

    def fill(self, values: Sequence[str]) -> str:
        parts = self.parts.copy()
        parts[1::2] = self._pick(values)
        return "".join(parts)


def _cut_at(holes: Mapping[str, int], text: str) -> Blank:
    """`text` with holes where there are marks; `holes` says whose each mark is."""
    parts, numbers = [""], list[int]()
    for place, piece in enumerate(_MARKS.split(text)):
        if place % 2 and piece in holes:
            parts += ["", ""]
            numbers.append(holes[piece])
        else:
            parts[-1] += piece
    return Blank(parts, numbers)


@dataclass(frozen=True, slots=True)
class Stencil:
    """The translation of every message like one, but for the values.

    `texts` are all that is not XML, with `_BETWEEN` in between: first the values of
    `losses`, then what `rows` point to, then `problems`. `names` are those that ids are
    derived from, if any. Values that were found to be the same when it was made must be so
    again: `followers` as their `leaders`, `kept` as the texts `fixed`. `ones` must differ
    from `others`, and so must the pairs of texts that are `different`.
    """

    xml: Blank
    texts: Blank
    losses: tuple[tuple[Any, ...], ...]
    """Column by column, without the values."""
    valueless: tuple[int, ...]
    rows: tuple[tuple[int | None, ...], ...]
    problems: slice
    names: Blank | None
    followers: Picker
    leaders: Picker
    kept: Picker
    fixed: tuple[str, ...]
    ones: Picker
    others: Picker
    different: tuple[tuple[Blank, Blank], ...]

    def fill(self, letter: Letter) -> Sheet | None:
        """The translation of `letter`; None when it is not like the first after all."""
        values = plain = letter.free
        if letter.escaped:
            plain = [unescaped(value) for value in values]
        if self.names is not None:
            ids = [derived_id(name) for name in self.names.fill(plain).split(_BETWEEN)]
            values, plain = values + ids, plain + ids
        if self.followers(plain) != self.leaders(plain) or self.kept(plain) != self.fixed:
            return None
        if any(map(eq, self.ones(plain), self.others(plain))):
            return None
        for one, other in self.different:
            if one.fill(plain) == other.fill(plain):
                return None
        texts = self.texts.fill(plain).split(_BETWEEN)
        losses = [*map(Loss, *self.losses, texts)] if self.losses else []
        for at in self.valueless:
            losses[at] = losses[at]._replace(value=None)
        rows = [tuple([None if at is None else texts[at] for at in row]) for row in self.rows]
        return Sheet(self.xml.fill(values), tuple(losses), tuple(rows), tuple(texts[self.problems]))


_BETWEEN = "\0"
"""No XML can hold it."""


def _make(letter: Letter, facts: Facts, way: Way, sheet: Sheet, ids: list[str]) -> Stencil | None:
    """The stencil of `letter`; None when there can be none.

    `sheet` is its ordinary translation, which derived `ids`.
    """
    marking = _Marking(letter, ids)
    for _ in range(_ROUNDS):
        marks = marking.marks()
        if marks is None:
            return None
        watch = Watch()
        root, names = _marked_message(letter, marks)
        marked = replace(
            facts,
            conversation_id=unescaped(marks[letter.form.conversation_id]),
            now=datetime.fromisoformat(marks[letter.form.now]),
            watch=watch,
        )
        try:
            result = way.run(root, marked, lambda name, to=names: to.get(name, name))  # type: ignore[misc]
        except GatewayError:
            return None
        if not marking.learn(marks, watch):
            return None
        if marking.settled:
            stencil = _cut(result, marking, watch)
            return stencil if stencil.fill(letter) == sheet else None
    return None


_ROUNDS = 6


def _cut(sheet: Sheet, marking: _Marking, watch: Watch) -> Stencil:
    texts = [loss.value or "" for loss in sheet.losses]
    rows: list[tuple[int | None, ...]] = []
    for row in sheet.rows:
        rows.append(tuple(
            None if one is None else len(texts) + at - row[:at].count(None)
            for at, one in enumerate(row)
        ))  # fmt: skip
        texts += [one for one in row if one is not None]
    problems = slice(len(texts), len(texts) + len(sheet.problems))
    texts += sheet.problems
    cut = marking.cut
    different = [pair for pair in marking.different if pair[0].holes or pair[1].holes]
    values = [pair for pair in different if pair[0].is_value and pair[1].is_value]
    return Stencil(
        cut(sheet.xml),
        cut(_BETWEEN.join(texts)),
        tuple(zip(*(loss[:-1] for loss in sheet.losses), strict=True)),
        tuple(at for at, loss in enumerate(sheet.losses) if loss.value is None),
        tuple(rows),
        problems,
        cut(_BETWEEN.join(watch.derived.values())) if watch.derived else None,
        picker(marking.followers),
        picker([marking.leader(at) for at in marking.followers]),
        picker(marking.kept),
        tuple(marking.true[at] for at in marking.kept),
        picker([one.holes[0] for one, _ in values]),
        picker([other.holes[0] for _, other in values]),
        tuple(pair for pair in different if pair not in values),
    )


def _marked_message(letter: Letter, marks: Sequence[str]) -> tuple[etree._Element, dict[str, str]]:
    """The message with marks for values, and what files are called in it."""
    pieces, form = letter.pieces.copy(), letter.form
    names: dict[str, str] = {}
    for at, part, mark in zip(form.places, letter.free, marks, strict=False):
        if at is not None:
            text = pieces[2 * at + 2]
            pieces[2 * at + 2] = marked = mark + text[len(part) :]
            if at in form.at_names:
                names[text] = marked
    tags = "".join(f"<{tag}>{text}" for tag, text in zip(pieces[1::2], pieces[2::2], strict=True))
    return etree.fromstring(tags, _OWN), names


_OWN = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)


class _Marking:
    """Which mark stands for which value, as more is learnt of which must be the same.

    Values are counted first, derived ids after them. Every value begins with a mark of
    its own; where the true values that a translation compares are equal, their marks have
    to be equal too.
    """

    def __init__(self, letter: Letter, ids: Sequence[str]) -> None:
        self._letter = letter
        free = letter.free
        self.true = [*(unescaped(part) if letter.escaped else part for part in free), *ids]
        self._stands = list(range(len(self.true)))
        """Whose mark each value has."""
        self._always_kept = {at for at, sort in enumerate(letter.sorts) if isinstance(sort, str)}
        self._kept = set(self._always_kept)
        self._ids: list[str] = list(ids)
        self.cut: Callable[[str], Blank]
        self.different: list[tuple[Blank, Blank]] = []
        self.settled = False

    def marks(self) -> list[str] | None:
        """What to put in place of each value; None when that is not possible."""
        whole = "".join(self._letter.pieces)
        marks: list[str] = []
        count = len(self._letter.free)
        for at, part in enumerate(self._letter.free):
            leader = self.leader(at)
            if leader in self._kept:
                marks.append(part)
            elif leader >= count:
                marks.append(self._ids[leader - count])
            else:
                sort = self._letter.sorts[leader]
                assert isinstance(sort, Sort), "others are kept"
                mark = _mark(sort, self._letter.free[leader], leader)
                if mark is None or mark in whole:
                    return None
                marks.append(mark)
        return marks

    def learn(self, marks: Sequence[str], watch: Watch) -> bool:
        """Take in what a translation of the marked message did; False: no use going on."""
        count = len(marks)
        ids = list(watch.derived)
        if len(ids) != len(self._ids):
            return False
        holes = {
            mark: self.leader(at)
            for at, mark in enumerate(marks)
            if self.leader(at) not in self._kept
        }
        holes |= {id: count + number for number, id in enumerate(ids)}
        self.cut = partial(_cut_at, holes)
        self.settled = ids == self._ids or all(self.leader(at) < count for at in range(count))
        self._ids = ids
        self.different = []
        for pair in watch.compared:
            one, other = map(self.cut, pair)
            if one.fill(self.true) != other.fill(self.true):
                self.different.append((one, other))
            elif self._unite(one, other):
                self.settled = False
            else:
                return False
        return True

    @property
    def followers(self) -> list[int]:
        """Values that have the mark of another."""
        return [at for at, other in enumerate(self._stands) if at != other]

    @property
    def kept(self) -> list[int]:
        """Values that would have a mark, but must stand as they are."""
        return sorted(self._kept - self._always_kept)

    def leader(self, at: int) -> int:
        """Whose mark the value has."""
        while self._stands[at] != at:
            at = self._stands[at]
        return at

    def _unite(self, one: Blank, other: Blank) -> bool:
        """Make values the same that are in truth; False when they are not single ones."""
        if not one.holes:
            one, other = other, one
        if len(one.holes) != 1 or len(other.holes) > 1:
            return False
        first = self.leader(one.holes[0])
        if not other.holes:
            self._kept.add(first)
            return first < len(self._letter.free)
        if one.parts != other.parts:
            return False
        second = self.leader(other.holes[0])
        # An id's mark is what is derived; a value that is asked about comes first.
        derived = max(first, second) >= len(self._letter.free)
        leader = max(first, second) if derived else min(first, second)
        if first in self._kept or second in self._kept:
            self._kept.add(leader)
        self._stands[first] = self._stands[second] = leader
        return leader not in self._kept or not derived


# --- marks ----------------------------------------------------------------------------


def _mark(sort: Sort, text: str, number: int) -> str | None:
    """A text of that sort that is found nowhere else."""
    match sort.kind:
        case alike.INTEGER:
            return f"770077{number:04}77007"
        case alike.DATE | alike.MIDNIGHT:
            offset = sort.fixed.rpartition("|")[2]
            month = "07" if offset == "+02:00" else "01"
            day = f"{2100 + number // 28}-{month}-{1 + number % 28:02}"
            return day if offset in ("", oslo_offset(day)) else None
        case alike.MOMENT:
            time = f"12:{number // 60 % 60:02}:{number % 60:02}.777"
            mark = f"{text[:10]}T{time}{text[-6:]}"
            return mark if alike.is_moment(mark) else None
        case alike.ID:
            return f"{number:08x}-7700-{sort.fixed}770-8770-770077007700"
        case alike.NAME:
            return f"merke{number:06}merke"
    return f"{MARK}{number}{_MARK_END}"


_MARK_END = "\ue001"
_MARKS = re.compile(
    rf"({MARK}[0-9]+{_MARK_END}|770077[0-9]{{4}}77007|merke[0-9]{{6}}merke"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T12:[0-9]{2}:[0-9]{2}\.777[+-][0-9]{2}:[0-9]{2}"
    r"|2[1-9][0-9]{2}-0[17]-[0-9]{2})"
)
"""Whatever looks like a mark, or like an id that is derived from marks."""
