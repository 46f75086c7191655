"""Errors that are for people: shown as one line, without a traceback."""


class UserError(Exception):
    """Bad input or a failing machine: the message says what is wrong, where, and what to do.

    Attributes:
      code: The exit code.
    """

    code = 2


class NoOtherPhysicsError(UserError):
    """A task plans in no other physics than its own."""


class RefusedError(UserError):
    """A queue does not take a run."""


class InUseError(UserError):
    """Another process makes the same."""

    code = 3
