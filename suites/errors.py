"""Errors that are for people: shown as one line, without a traceback."""


class UserError(Exception):
    """Bad input or a failing machine: the message says what is wrong, where, and what to do."""
