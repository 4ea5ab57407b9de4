"""What shake_mm raises where a person has to act."""


class UsageError(ValueError):
    """A config, checkpoint or data set that cannot work.

    Its message is one sentence that names the key or file and the mend. The command line tools print that sentence
    and exit with status 1; a traceback is shown only when asked for.
    """


class NonFiniteError(FloatingPointError):
    """Training met NaN or Inf and stopped; no update was applied from it."""
