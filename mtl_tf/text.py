"""Text from anywhere, fit to be printed, and suggestions for misspelt names."""

import difflib
from collections.abc import Iterable


def shown(text: object, keep: str = "") -> str:
    """Return text for one line of a message, with control and invisible characters escaped.

    Args:
        text: any object.
        keep: unprintable characters that are not escaped.
    """
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in str(text))


def first_line(error: Exception) -> str:
    r"""Return the first line of an error, or its type: the next lines give advice or a trace.

    Args:
        error: of any package.

    Examples:
        >>> first_line(ValueError("no header\nTrust the file?"))
        'no header'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'quick'?`, or an empty text if no name is close.

    Args:
        name: that is unknown.
        known: names.

    Examples:
        >>> suggestion("quicc", ["quick", "demo"])
        " Did you mean 'quick'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def must_be_one_of(known: Iterable[str], name: str) -> str:
    """Return the message about an unknown name: all known ones, and the closest.

    Args:
        known: names.
        name: that is none of them.

    Examples:
        >>> must_be_one_of(["quick", "demo"], "quicc")
        "must be one of quick, demo. Did you mean 'quick'?"
    """
    names = list(known)
    return f"must be one of {', '.join(names)}.{suggestion(name, names)}".removesuffix(".")
