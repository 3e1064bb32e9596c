"""Side by side: what two systems made of the same letters, field by field.

Pure: letters come in as values, findings go out as values. Reading folders and writing
reports is the command's work.
"""

from gateway.compare.diff import WHOLE, Comparison, Finding, compare_letters
from gateway.compare.letter import Letter, from_arkivmelding, from_melding, from_receipt
from gateway.compare.names import Names, build_names
from gateway.compare.rules import Kind, Rule, RuleBook, load_rules
from gateway.compare.same import SAME

__all__ = [
    "SAME",
    "WHOLE",
    "Comparison",
    "Finding",
    "Kind",
    "Letter",
    "Names",
    "Rule",
    "RuleBook",
    "build_names",
    "compare_letters",
    "from_arkivmelding",
    "from_melding",
    "from_receipt",
    "load_rules",
]
