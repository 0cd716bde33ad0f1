"""The exception tree. Every message names the thing, the value, the choices and the cure, in one line.

LlmobsError
├── UsageError            wrong use or unusable input: the command line exits with 3
│   ├── InputError        a file or a folder that cannot be read or recognised
│   ├── MappingError      a mapping file or a column declaration that does not fit
│   ├── SourceError       a vendor's API that refuses, cannot be reached or answers nonsense
│   └── StoreError        a store that is missing, locked or damaged
│       └── LockedError   another writer holds the store
├── InterruptError        stopped by the user; what was done stays done: exits with 130
└── InternalError         a fault of ours: exits with 4
"""


class LlmobsError(Exception):
    """Root of all errors this package raises on purpose."""

    exit_code = 4


class UsageError(LlmobsError):
    """Wrong use or unusable input; the message holds the cure."""

    exit_code = 3


class InputError(UsageError):
    """A file or a folder that cannot be read or recognised."""


class MappingError(UsageError):
    """A mapping file or a column declaration that does not fit."""


class SourceError(UsageError):
    """A vendor's API that refuses, cannot be reached or answers nonsense; never names a key."""


class StoreError(UsageError):
    """A store that is missing, locked or damaged."""


class LockedError(StoreError):
    """Another writer holds the store."""


class InterruptError(LlmobsError):
    """Stopped by the user; what was done stays done."""

    exit_code = 130


class InternalError(LlmobsError):
    """A fault of ours."""


def choose(name: str, value: object, choices, error: type[UsageError] = UsageError):
    """Return ``value`` if it is one of ``choices``, else raise with all four: name, value, choices, cure."""
    allowed = list(choices)
    if value in allowed:
        return value
    menu = ", ".join(str(c) for c in allowed)
    raise error(f"{name}={value!r} is not known; choose one of: {menu}")
