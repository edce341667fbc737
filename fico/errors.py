"""Errors that a user can fix: one sentence that says what was got, what was wanted and what to do."""


class FicoError(Exception):
    """The run cannot go on, and the message says how to fix it. Exit code 1."""

    exit_code = 1


class UsageError(FicoError):
    """Wrong option, key, value or pairing of options. Exit code 2."""

    exit_code = 2


class DataError(FicoError):
    """A data set, feature, label or embedding file is missing or broken; the path or id is named."""


class PathError(DataError):
    """A file or folder that the user named is not there, or is another thing. Exit code 2, as of any wrong value."""

    exit_code = UsageError.exit_code
