"""Everything that can go wrong outside our own logic, as one tree.

::

    GatewayError
    ├── MessageRefused            the message itself is at fault; the peer is told, no retry
    │   ├── ReceiverMissing       3
    │   ├── ReceiverNotOnNetwork  4
    │   ├── CannotHandle          5
    │   ├── PayloadMissing        8
    │   ├── ReceiverUnknown       16
    │   ├── PayloadUnreadable     Unknown, "Error parsing payload"
    │   ├── ConversationConflict  Unknown
    │   ├── TooLarge              Unknown
    │   └── TranslationImpossible Unknown, with the field or file named
    ├── LetterEnded               it was accepted, and did not arrive
    │   ├── Expired  ExpiredUnsent  DroppedByNetwork
    │   └── ExpiredOnArrival  ExpiredUndelivered  Undelivered
    ├── RequestRefused            the SOAP request is refused as a whole: a Fault
    ├── PackageError              a package that must not be handed on
    │   ├── BadZip  BadSbd  BadContainer  UnsafeName  LimitExceeded
    │   ├── WrongKey  DecryptionFailed
    │   └── SignatureInvalid  DigestMismatch  FileMissing  SignerUntrusted
    ├── Unavailable               try again later
    │   ├── NetworkUnavailable  RegistryUnavailable  TokenUnavailable
    │   ├── ArchiveUnreachable  ArchiveUnclear  ArchiveSilent
    │   ├── TransferUnclear  TransferFailed
    │   └── StorageFull
    └── NeedsOperator             nothing helps until a person does something
        ├── NetworkRefused  NetworkAccessDenied  OfferGone
        ├── RegistryRefused  TokenRefused
        ├── ArchiveFault
        ├── CertificateUnusable
        └── ConfigurationError  SettingsWrong

This is the one catalogue of what archives and case workers are told when something goes
wrong. Each leaf says four things: what the peer is told (`receipt`), whether trying again
helps (`retry`), whether the others would meet the same (`outage`), and what the operator
should do (`operator`). What can be tried again also has a `cause` and a `remedy`, for whoever
waits for a letter that expired meanwhile. Texts for peers are
Norwegian or byte-exact as the predecessor's (bestedu-soap 3.5); the rest is English.
Messages of exceptions never hold titles, payloads or secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from gateway.model import AppReceipt, ReceiptType, StatusMessage


class Retry(StrEnum):
    """Whether doing the same again can help."""

    LATER = "later"
    NEVER = "never"
    AFTER_OPERATOR = "after operator"


class GatewayError(Exception):
    """Root of the tree. `detail` is for logs and operators, in English."""

    retry = Retry.NEVER
    outage = False
    """Whether the neighbour is not there for anybody, whatever the message."""
    code = "Unknown"
    text = "Teknisk feil: kan ikke behandle melding"
    explanation = ""
    """Cause and remedy for the case worker, where `text` is a known one that has neither."""
    operator = "Read the message's timeline; report it if the cause is not clear."
    cause = "teknisk feil, se loggen"
    """Why a letter got no further, for a sentence in Norwegian."""
    remedy = "Driftsansvarlig må finne årsaken før meldingen sendes på nytt."
    """What helps a letter of ours that expired because of it."""

    def __init__(self, detail: str = "", *, peer_text: str | None = None) -> None:
        super().__init__(detail or self.text)
        self.detail = detail or self.text
        if peer_text is not None:
            self.text = peer_text

    @property
    def receipt(self) -> AppReceipt:
        """What the peer is told: type, code and text, then what that means here."""
        messages = [StatusMessage(self.code, self.text)]
        if self.explanation:
            messages.append(StatusMessage(self.code, self.explanation))
        return AppReceipt(ReceiptType.ERROR, tuple(messages))

    @property
    def account(self) -> str:
        """What the timeline of a message that ended with it says."""
        return f"{self.text}. {self.explanation}" if self.explanation else self.text

    @property
    def problem(self) -> str:
        """How it is noted with the work that is tried again; `_noted` reads it."""
        return f"{type(self).__name__}: {self.detail}"


# --- the message itself is at fault ---------------------------------------------------


class MessageRefused(GatewayError):
    """The archive must change the message; it is answered ERROR at once."""

    operator = "Nothing to do here; the sending archive was told why."


class ReceiverMissing(MessageRefused):
    code = "3"
    text = "Mottakers organisasjonsnummer mangler"


class ReceiverNotOnNetwork(MessageRefused):
    code = "4"
    text = "Ikke i stand til å sende melding til mottaker"
    explanation = "Mottakeren er ikke tilknyttet eFormidlings meldingstjeneste (DPO)."


class CannotHandle(MessageRefused):
    code = "5"
    text = "Kan ikke behandle melding"

    def __init__(self, detail: str, *, explanation: str = "") -> None:
        super().__init__(detail)
        self.explanation = explanation


class PayloadMissing(MessageRefused):
    code = "8"
    text = "Request has missing or empty payload"


class ReceiverUnknown(MessageRefused):
    code = "16"
    text = "Fant ikke service record for identifikator"


class PayloadUnreadable(MessageRefused):
    text = "Error parsing payload"


class ConversationConflict(MessageRefused):
    """The same conversationId came before with other content."""

    text = "Meldingen er mottatt tidligere med samme conversationId, men med annet innhold"


class TooLarge(MessageRefused):
    text = "Meldingen er større enn tillatt"
    explanation = "Fordel vedleggene på flere meldinger, og send dem hver for seg."


class TranslationImpossible(MessageRefused):
    """No arkivmelding (or Melding) can be made. `peer_text` names the field or file."""


# --- the request as a whole -----------------------------------------------------------


class RequestRefused(GatewayError):
    """Answered with a SOAP Fault.

    `fault_code` is ``Client`` or ``Server``; `name` is a short stable word for the
    cause (``Doctype``, ``TooDeep``, ``XMLSyntaxError`` …).
    """

    def __init__(self, name: str, detail: str, *, fault_code: str = "Client") -> None:
        super().__init__(detail)
        self.name = name
        self.fault_code = fault_code


# --- packages -------------------------------------------------------------------------


class PackageError(GatewayError):
    """A package that must not be handed on. The original is kept for the operator.

    The peer is told one generic text for everything after the key step, so that no
    decryption oracle appears (dpo-packaging 5.7).
    """

    text = "Meldingen kunne ikke pakkes ut hos mottaker"
    explanation = (
        "Pakken er skadet, eller kryptert for et annet sertifikat. Mottakeren har tatt vare på"
        " den. Send meldingen på nytt, eller kontakt mottakeren."
    )
    operator = "The original lies in quarantine; see `edu-gateway package inspect`."


class BadZip(PackageError):
    pass


class BadSbd(PackageError):
    """sbd.json cannot be used; `detail` names the member."""


class BadContainer(PackageError):
    """The ASiC-E container breaks its format."""


class UnsafeName(PackageError):
    """An entry name that no honest sender writes."""


class LimitExceeded(PackageError):
    """More entries, bytes or nesting than allowed."""


class WrongKey(PackageError):
    """Encrypted for a certificate that we do not hold the key of."""

    retry = Retry.AFTER_OPERATOR
    operator = (
        "Configure the previous keystore beside the new one, or ask the sender to send "
        "again; the sender used an old certificate."
    )


class DecryptionFailed(PackageError):
    pass


class SignatureInvalid(PackageError):
    pass


class DigestMismatch(PackageError):
    pass


class FileMissing(PackageError):
    """A file that is listed in a manifest or in arkivmelding.xml is not there."""


class SignerUntrusted(PackageError):
    """The signature is sound but its certificate chain is not accepted."""


# --- a letter has come to its end -----------------------------------------------------


class LetterEnded(GatewayError):
    """It was accepted and did not arrive; whoever waits for its receipt is told."""

    operator = "Nothing to do here, unless the timeline names a cause of our own."


class Expired(LetterEnded):
    text = "Levetiden for meldingen er utgått. Må sendes på nytt"
    explanation = (
        "Mottakeren har ikke bekreftet meldingen innen fristen. Spør mottakeren om den er"
        " kommet fram, før den sendes på nytt."
    )


class ExpiredUnsent(LetterEnded):
    """The network never got it. `problem`: what came in the way last, as `GatewayError.problem`
    noted it; None when nothing is known to have."""

    text = Expired.text

    def __init__(self, problem: str | None) -> None:
        super().__init__()
        self.explanation = "Meldingen ble ikke sendt innen fristen"
        if problem is None:
            self.explanation += ", uten at noen feil er registrert. Send meldingen på nytt."
            return
        leaf, said = _noted(problem)
        cause = f"{leaf.cause} («{said}»)" if said else leaf.cause
        self.explanation += f". Siste årsak: {cause}. {leaf.remedy}"


class DroppedByNetwork(LetterEnded):
    text = "Nettverket har forkastet forsendelsen tre ganger. Kontroller vedleggene for skadevare"


class ExpiredOnArrival(LetterEnded):
    text = "Levetiden for meldingen var utgått da den kom fram"
    explanation = "Meldingen er ikke avlevert hos mottakeren. Send den på nytt."


class ExpiredUndelivered(LetterEnded):
    """`problem` as for `ExpiredUnsent`. What our archive said is for us alone."""

    text = "Levetiden for meldingen utløp før den kunne avleveres sakarkivsystemet"

    def __init__(self, problem: str | None) -> None:
        super().__init__()
        self._said = ""
        cause = "den ble ikke forsøkt avlevert innen fristen"
        if problem is not None:
            leaf, self._said = _noted(problem)
            cause = leaf.cause
        self.explanation = (
            f"Årsak hos mottakeren: {cause}. Avtal med mottakeren før meldingen sendes på nytt."
        )

    @property
    def account(self) -> str:
        said = f" Siste svar: «{self._said}»." if self._said else ""
        return f"{super().account}{said}"


class Undelivered(LetterEnded):
    """The archive does not take it, whatever is tried. The text is the predecessor's."""

    explanation = (
        "Mottakerens sakarkivsystem tok ikke imot meldingen, og mottakerens driftsansvarlige er"
        " varslet. Avtal med mottakeren før den sendes på nytt."
    )

    def __init__(self, receiver: str) -> None:
        text = f"Feilet under mottak hos 0192:{receiver} - ble ikke avlevert sakarkivsystem"
        super().__init__(peer_text=text)


# --- try again later ------------------------------------------------------------------


class Unavailable(GatewayError):
    """Somebody else is down or slow; nothing was decided."""

    remedy = "Send meldingen på nytt når det er i orden igjen."
    retry = Retry.LATER
    text = "Midlertidig feil: prøv igjen senere"
    operator = "Nothing yet; it is tried again by itself until the message's deadline."

    def __init__(
        self, detail: str = "", *, peer_text: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(detail, peer_text=peer_text)
        self.retry_after = retry_after
        """Seconds that the other side asked us to wait, when it said so."""


class NetworkUnavailable(Unavailable):
    cause = "meldingsnettverket var ikke tilgjengelig"
    outage = True


class RegistryUnavailable(Unavailable):
    cause = "adresseregisteret var ikke tilgjengelig"
    outage = True


class TokenUnavailable(Unavailable):
    cause = "innloggingen til meldingsnettverket var ikke tilgjengelig"
    outage = True


class ArchiveUnreachable(Unavailable):
    """Nothing was handed over: refused connection, DNS, TLS, 503."""

    cause = "sakarkivsystemet var ikke tilgjengelig"
    outage = True


class ArchiveUnclear(Unavailable):
    """The archive may have filed it: time-out, lost connection, unreadable answer."""

    cause = "sakarkivsystemet svarte ikke forståelig, og kan ha tatt imot meldingen"
    outage = True


class ArchiveSilent(ArchiveUnclear):
    """The archive answered a letter without a result (decision 9)."""

    cause = "sakarkivsystemet svarte uten resultat, og kan ha tatt imot meldingen"
    outage = False
    operator = "See in the archive whether it has the letter; it should send its AppReceipt."


class TransferUnclear(Unavailable):
    """The bytes may have arrived; ask `Transport.outcome` before sending again."""

    cause = "det er uklart om meldingsnettverket fikk meldingen"
    remedy = "Spør mottakeren om meldingen er kommet fram, før den sendes på nytt."
    outage = True


class TransferFailed(Unavailable):
    """The network dropped this transfer; a new one must be announced."""

    cause = "meldingsnettverket mistet meldingen"


class StorageFull(Unavailable):
    cause = "lagringsplassen er full"
    remedy = "Driftsansvarlig må frigjøre plass før meldingen sendes på nytt."
    operator = "Free disk space or raise the quota; letters are refused meanwhile."


# --- a person is needed ---------------------------------------------------------------


class NeedsOperator(GatewayError):
    """Trying again is of no use until something is changed."""

    retry = Retry.AFTER_OPERATOR


class NetworkRefused(NeedsOperator):
    """The network understood us and said no."""

    cause = "meldingsnettverket avviste oss"
    remedy = (
        "Driftsansvarlig må kontrollere organisasjon, ressurs og rettigheter hos"
        " meldingsnettverket før meldingen sendes på nytt."
    )
    text = "Ikke i stand til å sende melding til mottaker"
    operator = "Check rights, resource and organisation at the network."


class NetworkAccessDenied(NetworkRefused):
    """No right to the party or resource, or the network's own access service is down:
    the answers look the same, so it is tried again while the operator is told."""

    cause = "meldingsnettverket ga oss ikke tilgang"
    retry = Retry.LATER
    outage = True


class OfferGone(NeedsOperator):
    """The network no longer has a package that it offered us."""

    cause = "meldingsnettverket har ikke lenger meldingen"
    retry = Retry.NEVER
    operator = "Ask the sender to send again; the package expired before we fetched it."


class RegistryRefused(NeedsOperator):
    """401, 403 or a bad signature: our own trouble, never "receiver unknown"."""

    cause = "adresseregisteret ga oss ikke tilgang eller et ekte svar"
    remedy = (
        "Driftsansvarlig må få tilgangen til adresseregisteret i orden før meldingen sendes på"
        " nytt."
    )
    outage = True
    operator = "Run `edu-gateway check`; the registry does not accept us or is not genuine."


class TokenRefused(NeedsOperator):
    cause = "innloggingen til meldingsnettverket ble avvist"
    remedy = (
        "Driftsansvarlig må kontrollere klient, sertifikat, rettigheter, systembruker og klokke"
        " før meldingen sendes på nytt."
    )
    outage = True
    operator = "Check client id, certificate, scopes, system user and the clock."


class ArchiveFault(NeedsOperator):
    """The archive answered with a Fault or an HTTP error status.

    `fault_code` is the local part of the SOAP fault code, or ``HTTP 403``.
    """

    cause = "sakarkivsystemet svarte med feil"
    retry = Retry.LATER
    operator = "Read the fault text; it comes from the archive."

    def __init__(self, fault_code: str, detail: str) -> None:
        super().__init__(detail)
        self.fault_code = fault_code


class CertificateUnusable(NeedsOperator):
    """The receiver's published certificate cannot be encrypted for."""

    cause = "mottakerens sertifikat kan ikke brukes"
    remedy = "Mottakeren må publisere et gyldig sertifikat før meldingen sendes på nytt."
    text = "Ikke i stand til å sende melding til mottaker"
    explanation = (
        "Mottakerens sertifikat kan ikke brukes. Mottakeren må publisere et gyldig sertifikat"
        " før meldingen kan sendes på nytt."
    )
    operator = "The receiver must publish a valid RSA certificate; then send again."


class ConfigurationError(NeedsOperator):
    """A setting is missing or wrong; `detail` names it."""

    cause = "innstillingene er ikke riktige"
    remedy = "Driftsansvarlig må rette innstillingene før meldingen sendes på nytt."
    operator = "Correct the setting that is named and start again."


class SettingsWrong(ConfigurationError):
    """A settings file that cannot be used; `problems` are all of them, one a key."""

    operator = "Correct the keys that are named and start again; docs/settings.md has them all."

    def __init__(self, file: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  ".join((f"{file}:", *self.problems)))


Raised = TypeVar("Raised", bound=BaseException)


def own_copy(error: Raised) -> Raised:
    """The same for another thread: who raises an exception writes a traceback into it.

    Made without calling its class, which may want other arguments than it keeps.
    """
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error
    return copy


def _noted(problem: str) -> tuple[type[GatewayError], str]:
    """The leaf that `GatewayError.problem` was made by, and its detail; the root when it was
    something that nobody foresaw."""
    name, _, said = problem.partition(": ")
    leaf = globals().get(name)
    if isinstance(leaf, type) and issubclass(leaf, GatewayError):
        return leaf, said
    return GatewayError, ""
