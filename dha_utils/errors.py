"""Errors meant for the person at the keyboard: one line that says what is wrong and what to do."""


class DhaError(ValueError):
    """Base of all errors that ``dha`` prints as one line, without a traceback."""


class AudioError(DhaError):
    """A sound file that cannot be used; names the file and the fault."""


class DataError(DhaError):
    """A data set or an artifact that is missing, partial or inconsistent."""


class NoAudioError(DataError):
    """There is no copy of a published data set, not even part of one."""


class FetchError(DhaError):
    """A download that failed or whose content is not what was pinned."""


class ParameterError(DhaError):
    """A parameter with an unknown name, a wrong type or an impossible value."""
