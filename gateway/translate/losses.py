"""The loss report: what the receiver will not see as it was sent, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.edu.noark4 import JOURNPOST, NOARKSAK
from gateway.model import Loss, Outcome
from gateway.record import STRAY_TEXT, Record
from gateway.translate.difference import Difference, Missing, compare, is_name, missing
from gateway.translate.homes import REST
from gateway.translate.mapping import Mapping
from gateway.translate.rest import BLOCK, REST_NAMESPACE
from gateway.translate.scope import Facts
from gateway.translate.values import read_date, read_integer, repair_date

_POSITION = re.compile(r"\[\d+\]")
_REST_BLOCK = f"{REST}/{{{REST_NAMESPACE}}}{BLOCK}/"
_FILE = re.compile(r"/fil(\[\d+\])?/base64(\[\d+\])?/(ref|problem)$")


def losses_out(differences: dict[str, Difference], mapping: Mapping) -> Iterator[Loss]:
    """Losses of an outgoing letter; `differences` are those of noarksak and journpost."""
    carried = mapping.profile.carry_rest
    for name, difference in differences.items():
        for leaf in missing(difference, name):
            if not (carried and can_carry(leaf)):
                yield loss_out(leaf, None, mapping)


def losses_beside(melding: Record) -> Iterator[Loss]:
    """What stands in an outgoing letter beside the noarksak and journpost that count."""
    for name, records in melding.groups.items():
        for record in records[1:] if name in (NOARKSAK, JOURNPOST) else records:
            for path, value in record.leaves(f"{name}/"):
                if value.strip():
                    reason = "another one counts" if len(records) > 1 else "not a known element"
                    yield Loss(path, Outcome.LOST, "text", reason, None, value)
    for name, value in melding.values.items():
        if value.strip():
            yield Loss(name, Outcome.LOST, "text", "not a known element", None, value)


def can_carry(leaf: Missing) -> bool:
    """Whether a rest block can hold it: elements, and never file content."""
    return is_name(leaf.path.rpartition("/")[2]) and not _FILE.search(leaf.path)


def loss_out(leaf: Missing, plain: str | None, mapping: Mapping) -> Loss:
    """The loss that a missing leaf is; `plain` is its path without positions, if known."""
    path = leaf.path
    if plain is None:
        plain = _POSITION.sub("", path) if "[" in path else path
    if plain.endswith(("/base64/ref", "/base64/problem")):
        reason = "files of a journpost inside noarksak are not sent"
        return Loss(path.rpartition("/")[0], Outcome.LOST, "group", reason)
    if plain in mapping.translated or leaf.overwritten or leaf.given is not None:
        kind = mapping.homes.kinds.get(plain, "text")
        outcome, reason = _why(leaf, kind, plain in mapping.translated)
        return Loss(path, outcome, kind, reason, mapping.homes.of_edu(plain), leaf.value)
    if plain.endswith(STRAY_TEXT):
        return Loss(path, Outcome.LOST, "text", "text between elements", None, leaf.value)
    kind, home = mapping.homes.kinds.get(plain, "text"), mapping.homes.of_edu(plain)
    reason = f"arkivmelding has no place for it in profile {mapping.name}"
    return Loss(path, Outcome.LOST, kind, reason, home, leaf.value)


def _why(leaf: Missing, kind: str, mapped: bool) -> tuple[Outcome, str]:
    if leaf.overwritten:
        return Outcome.LOST, "came more than once; the last counts"
    if kind == "integer" and mapped:
        if read_integer(leaf.value) is None:
            return Outcome.LOST, "not a readable integer; left out"
        return Outcome.CHANGED, "written in canonical form"
    if kind == "date" and mapped:
        if (read_date(leaf.value) or repair_date(leaf.value)) is None:
            return Outcome.LOST, "not a readable date; left out"
        if leaf.given is None:
            return Outcome.LOST, "left out by rule"
        return Outcome.CHANGED, "written as a plain date"
    if kind == "code" and mapped:
        if leaf.given is None:
            return Outcome.LOST, "the code has no text in arkivmelding"
        return Outcome.CHANGED, "the text that stands for the code means another one"
    if leaf.given is not None:
        return Outcome.CHANGED, "the receiver sees another value"
    return Outcome.LOST, "left out by rule"


# --- incoming -------------------------------------------------------------------------


def losses_in(am: Record, again: Record, mapping: Mapping, facts: Facts) -> Iterator[Loss]:
    """What of `am` the archive does not see; `again` is what its letter still says.

    The envelope tells the archive the conversation id, and files can be counted. A rest
    block is no loss where the profile uses it.
    """
    difference = compare(_alike(am), again, "", {}, facts.watch)
    files = str(sum(1 for path, _ in am.leaves() if path.endswith("/referanseDokumentfil")))
    for leaf in missing(difference, ""):
        loss = loss_in(leaf, files, mapping, facts)
        if loss is not None:
            yield loss


def loss_in(leaf: Missing, files: str, mapping: Mapping, facts: Facts) -> Loss | None:
    """The loss that a leaf is, if any; `leaf.path` has a slash in front."""
    path = leaf.path[1:]
    if mapping.profile.carry_rest and _REST_BLOCK in path:
        return None
    told = {"meldingId": facts.conversation_id, "antallFiler": files}.get(path)
    if told == leaf.value:
        return None
    if told is not None and facts.watch is not None:
        facts.watch.compared[leaf.value, told] = None
    outcome, reason = _why_in(leaf, path, mapping)
    home = mapping.homes.of_am(path)
    return Loss(_plain(path), outcome, mapping.homes.kind(path), reason, home, leaf.value)


def _why_in(leaf: Missing, path: str, mapping: Mapping) -> tuple[Outcome, str]:
    if leaf.overwritten:
        return Outcome.LOST, "came more than once; another one counts"
    if leaf.given is not None:
        return Outcome.CHANGED, "the archive sees another value"
    plain = _POSITION.sub("", path)
    if plain in mapping.homes.kinds and plain in mapping.read:
        kind = mapping.homes.kind(path)
        if kind in ("integer", "date"):
            return Outcome.LOST, f"not a readable {kind}, or another one counts; left out"
        return Outcome.LOST, "no code for it, or another one counts; left out"
    return Outcome.LOST, f"Melding has no place for it in profile {mapping.name}"


def _plain(path: str) -> str:
    """Names of other namespaces without the namespace."""
    return re.sub(r"\{[^}]*\}", "", path)


def _alike(am: Record) -> Record:
    """One description per file, as the way out makes them, so that positions agree."""
    case = next((c for c in am.groups.get("mappe", ()) if c.type == "saksmappe"), None)
    if case is None:
        return am
    result = _copy(am)
    first = _copy(case)
    others = [one for one in am.groups["mappe"] if one is not case]
    result.groups["mappe"] = [first, *others]
    posts = case.groups.get("basisregistrering", [])
    post = next((p for p in posts if p.type == "journalpost"), None)
    if post is None:
        return result
    flat = _copy(post)
    first.groups["basisregistrering"] = [flat, *(p for p in posts if p is not post)]
    descriptions: list[Record] = []
    bare: list[Record] = []
    for description in post.groups.get("dokumentbeskrivelse", ()):
        objects = description.groups.get("dokumentobjekt", ())
        for number, one in enumerate(objects):
            made = _copy(description)
            if number:
                made.groups = {}
            made.groups["dokumentobjekt"] = [one]
            descriptions.append(made)
        if not objects:
            bare.append(description)
    if descriptions or bare:
        flat.groups["dokumentbeskrivelse"] = descriptions + bare
    return result


def _copy(record: Record) -> Record:
    made = Record(record.type)
    made.values = dict(record.values)
    made.repeats = dict(record.repeats)
    made.groups = dict(record.groups)
    return made
