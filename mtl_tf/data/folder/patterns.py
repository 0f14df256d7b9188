"""Patterns of paths: the files of a folder, by what their wildcards stand for."""

import os
import pathlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mtl_tf.data.sample import DataError
from mtl_tf.text import shown

SPLIT, ANNOTATOR = "{split}", "{annotator}"
_TOKEN = re.compile(r"\*\*/|\*|\?|\{split\}|\{annotator\}|\{[^{}]*\}")
_MAX_DEPTH = 12


class Match(NamedTuple):
    """A file that a pattern matches.

    Attributes:
        key: the texts of `*` and `**` in order; files of one image have one key.
        split: the text of `{split}`, or an empty text.
        annotator: the text of `{annotator}`, or an empty text.
        path: of the file.
    """

    key: tuple[str, ...]
    split: str
    annotator: str
    path: pathlib.Path


class Pattern:
    """A pattern of paths below a folder.

    ============== ===========================================================
    in a pattern   stands for
    ============== ===========================================================
    `*`            any part of a name
    `?`            one character
    `**/`          any folders, or none
    `{split}`      a part of a name, such as `train`
    `{annotator}`  a part of a name: several labels of one image
    `{jpg,png}`    one of these texts
    ============== ===========================================================

    The suffix is compared without case, and a pattern that ends in `*` matches any suffix. Hidden
    files and folders are left out.

    Args:
        text: the pattern, relative, with `/` between names.

    Raises:
        ValueError: for a pattern that leads out of the folder, or has no wildcard.

    Examples:
        >>> Pattern("rgb/*.jpg").num_wildcards, Pattern("{split}/**/*.png").num_wildcards
        (1, 2)
    """

    def __init__(self, text: str) -> None:
        parts = text.split("/")
        if not text or text.startswith("/") or "\\" in text or {"..", ""} & set(parts):
            raise ValueError(
                f"must be a path relative to the folder, with / between names. Received: {text!r}"
            )
        if "**" in text.replace("**/", ""):
            raise ValueError(f"** stands for folders: write **/*. Received: {text!r}")
        self.text = text
        self.has_split, self.has_annotator = SPLIT in text, ANNOTATOR in text
        for token in (SPLIT, ANNOTATOR):
            if text.count(token) > 1:
                raise ValueError(f"may have {token} once. Received: {text!r}")
        names = text.replace("**/", "\0/").split("/")
        self._parts = [None if name == "\0" else _regex(name, i == len(names) - 1)
                       for i, name in enumerate(names)]  # fmt: skip
        self.num_wildcards = sum(1 for t in _TOKEN.findall(text) if t in ("*", "**/", "?"))
        if not self.num_wildcards:
            raise ValueError(f"needs a * for the name of the image. Received: {text!r}")

    def matches(self, root: pathlib.Path) -> list[Match]:
        """Return the files below a folder, sorted by path.

        Args:
            root: the folder.

        Raises:
            DataError: for a folder that cannot be read.
        """
        matches = (
            Match(tuple(key), split, annotator, path)
            for key, split, annotator, path in _walk(root, self._parts, (), "", "", 0)
        )
        return sorted(matches, key=lambda match: match.path.as_posix())

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"


def _regex(name: str, is_file: bool) -> re.Pattern[str]:
    """Return the regular expression of one name of a path."""
    stem, dot, suffix = name.rpartition(".") if is_file else (name, "", "")
    if not dot:
        stem, suffix = name, ""
    if dot:
        text = _translated(stem) + r"\.(?i:" + _translated(suffix) + ")"
    elif is_file and stem.endswith("*"):
        text = _translated(stem[:-1]) + r"(?P<key>.+?)(?:\.[^.]+)?"
    else:
        text = _translated(stem)
    count = iter(range(99))
    return re.compile(re.sub(r"\?P<key>", lambda _: f"?P<key{next(count)}>", text))


def _translated(text: str) -> str:
    """Return a part of a name as the text of a regular expression."""
    result, position = "", 0
    for token in _TOKEN.finditer(text):
        result += re.escape(text[position : token.start()])
        position = token.end()
        match token[0]:
            case "*":
                result += "(?P<key>.+)"
            case "?":
                result += "(?P<key>.)"
            case "{split}":
                result += "(?P<split>.+)"
            case "{annotator}":
                result += "(?P<annotator>.+)"
            case choices:
                result += "(?:" + "|".join(map(re.escape, choices[1:-1].split(","))) + ")"
    return result + re.escape(text[position:])


def _walk(
    folder: pathlib.Path,
    parts: Sequence[re.Pattern[str] | None],
    key: tuple[str, ...],
    split: str,
    annotator: str,
    depth: int,
) -> Iterator[tuple[tuple[str, ...], str, str, pathlib.Path]]:
    """Yield key, split, annotator and path of the files that match the rest of a pattern."""
    if depth > _MAX_DEPTH:
        raise DataError(
            f"{shown(folder)} lies more than {_MAX_DEPTH} folders deep: a link to itself?"
        )
    first, rest = parts[0], parts[1:]
    if first is None:  # **/
        yield from _walk(folder, rest, (*key, ""), split, annotator, depth)
        for name in _names(folder, folders=True):
            inner = _walk(folder / name, parts, (), split, annotator, depth + 1)
            for below, of_split, of_annotator, path in inner:
                folders = "/".join(filter(None, (_normal(name), below[0])))
                yield (*key, folders, *below[1:]), of_split, of_annotator, path
        return
    for name in _names(folder, folders=bool(rest)):
        match = first.fullmatch(_normal(name))
        if match is None:
            continue
        groups = match.groupdict()
        own_key = (*key, *(text for group, text in groups.items() if group.startswith("key")))
        of_split, of_annotator = groups.get("split", split), groups.get("annotator", annotator)
        path = folder / name
        if rest:
            yield from _walk(path, rest, own_key, of_split, of_annotator, depth + 1)
        else:
            yield own_key, of_split, of_annotator, path


def _normal(name: str) -> str:
    """Return a name with composed characters: file systems differ in how they store é."""
    return unicodedata.normalize("NFC", name)


def _names(folder: pathlib.Path, folders: bool) -> list[str]:
    """Return the names of the files or the folders in a folder, without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            return [e.name for e in entries if not e.name.startswith(".") and e.is_dir() == folders]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read: {error}") from error
