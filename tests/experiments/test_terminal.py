"""Text in a terminal: no line is broken inside a word."""

import io

import pytest

from mtl_tf.experiments import terminal


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")


def test_lines_are_broken_between_words(narrow):
    text = "  a folder of a run, or of save_to_preset, or one of this-package\nshort"
    expected = "  a folder of a run, or of\n  save_to_preset, or one of this-package\nshort"
    assert terminal.wrapped(text, Terminal()) == expected
    assert terminal.wrapped(text, io.StringIO()) == text


def test_a_path_stays_whole(narrow):
    path = "/a" * 30
    assert path in terminal.wrapped(f"the file {path} is missing", Terminal()).split("\n")


def test_what_is_said_in_a_terminal(narrow, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    terminal.say("one two three four five six seven eight nine", error=True)
    assert stream.getvalue() == "one two three four five six seven eight\nnine\n"
    assert terminal.printable("a\x1b[2Jb") != "a\x1b[2Jb"
