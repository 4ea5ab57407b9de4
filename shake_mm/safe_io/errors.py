"""Why a file is not read."""

SHOWN = 80
"""Letters that are shown of a name in a file."""
_TOLD = 300


class Refused(ValueError):
    """A file that is not read, because it holds more than plain data or contradicts itself.

    Its message completes a sentence that begins with the file, and ends in the mend. What comes from the file stands in
    it in one line, without the characters that command a terminal.

    Args:
        message (str): The rest of the sentence.
        reason (str, optional): What is wrong, alone.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        self.reason = reason or message
        super().__init__(''.join(letter if letter.isprintable() else '?' for letter in message))


def code(name: str) -> Refused:
    """The refusal of a file that names a function or class which plain data do not need."""
    return Refused(
        f'cannot be read, as it holds code (`{name[:SHOWN]}`), which is not run: publish it again with weights and '
        'plain values only'
    )


def damaged(reason: str) -> Refused:
    """The refusal of a file whose parts do not fit together."""
    reason = reason if len(reason) <= _TOLD else f'{reason[:_TOLD]}…'
    return Refused(
        f'cannot be read as weights ({reason}), it is truncated or not a checkpoint: save or download it again',
        reason,
    )


def unsupported(what: str, mend: str) -> Refused:
    """The refusal of a file that is what it claims to be, of a kind that is not read."""
    return Refused(f'cannot be read, as it {what}: {mend}')
