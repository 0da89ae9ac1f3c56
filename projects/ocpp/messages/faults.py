"""What can be wrong with a message, in the words of OCPP-J (SPEC-J 4.2.3)."""

from __future__ import annotations

FORMATION = "FormationViolation"
OCCURRENCE = "OccurenceConstraintViolation"  # 1.6 spells it with one r
TYPE = "TypeConstraintViolation"
PROPERTY = "PropertyConstraintViolation"
NOT_IMPLEMENTED = "NotImplemented"
NOT_SUPPORTED = "NotSupported"
PROTOCOL = "ProtocolError"
SECURITY = "SecurityError"
INTERNAL = "InternalError"
GENERIC = "GenericError"

#: Of several faults in one payload the code that comes first here is answered.
PRIORITY = (FORMATION, OCCURRENCE, TYPE, PROPERTY)

ERROR_CODES = frozenset(
    {*PRIORITY, NOT_IMPLEMENTED, NOT_SUPPORTED, PROTOCOL, SECURITY, INTERNAL, GENERIC}
)

# Keys are lower case. OCPP 2 renamed two codes, and chargers mix the versions.
_SPELLINGS = {
    **{code.lower(): code for code in ERROR_CODES},
    "formatviolation": FORMATION,
    "occurrenceconstraintviolation": OCCURRENCE,
}


def normalise_code(text: str) -> str:
    """Return an error code as 1.6 spells it; an unknown one is returned unchanged."""
    return _SPELLINGS.get(text.strip().lower(), text)


class Violation(Exception):
    """A message that breaks a rule.

    :param code: the CALLERROR code that answers it
    :param description: one sentence that names the place and the fault
    :param rule: the broken rule in one word, such as "missing" or "date-time"
    """

    def __init__(self, code: str, description: str, rule: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.rule = rule


def shorten(value: object, limit: int = 40) -> str:
    """Show a value in a message, cut to `limit` characters."""
    text = repr(value[: limit + 1] if isinstance(value, str) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
