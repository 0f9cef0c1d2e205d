"""Thresholds as people write them, and as they are written back.

    threshold  = signal , comparison , value , { clause } ;
    comparison = "<" | "<=" | ">" | ">=" | "==" | "!=" ;
    clause     = "for" , duration | "after" , duration | "abort" | "optional" ;       (* each at most once *)
    signal     = word , { "." , word } ;                   (* the names are those of `signals` *)
    word       = ( letter | "_" ) , { letter | digit | "_" } ;
    value      = duration | number , "%" | number , [ "/s" ] | size ;             (* by the signal's kind *)
    duration   = number , ( "us" | "ms" | "s" | "m" | "h" | "d" ) , { duration } ;

Without `for` it is about the whole measured part of a run; with it about the last ten seconds, and is failed
once it was violated for so long without a break. What was before `after` is left out. `abort` ends the run as
soon as it is failed, which it then stays. Where there is nothing to judge it is failed too, unless it is
`optional`.
"""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple, NoReturn

from daemon.judge.quantity import Kind, format_value, parse_value
from daemon.judge.signals import Signal, find, known, of_operation, operation_of
from daemon.units import format_duration, parse_duration

Comparison = Literal["<", "<=", ">", ">=", "==", "!="]
CLAUSES = ("for", "after", "abort", "optional")
_SIGNAL = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_COMPARISON = re.compile(r"<=|>=|==|!=|<|>")
# A number with its unit, or several of them as in 1h 30m; a clause is no unit.
_PART = r"\d[\d.]*\s*(?:%|/s|(?!(?:for|after|abort|optional)\b)[A-Za-zµ]+)?"
_VALUE = re.compile(rf"{_PART}(?:\s*{_PART})*")
_WORD = re.compile(r"\S+")
_EXAMPLE = "response.writer.p99 < 200ms"


class BadThreshold(ValueError):  # noqa: N818 - it is raised inside of pydantic's validators
    """It is not a threshold; the text says in which column and what to write."""


class Threshold(NamedTuple):
    """A bound on a signal; `str` writes it in the one way in which all are shown.

    Attributes:
        signal: name of what is measured.
        comparison: how the measured value has to stand to `value`.
        value: s, share of 1, operations per second, number or bytes, as the signal's kind.
        lasting: for how long it must be violated to be failed, s; None: it is about the whole run.
        after: what was before is left out, s.
        abort: end the run when it is failed.
        optional: having nothing to judge is no failure.
    """

    signal: str
    comparison: Comparison
    value: float
    lasting: float | None = None
    after: float = 0.0
    abort: bool = False
    optional: bool = False

    def __str__(self) -> str:
        """Return its one spelling, which `parse` reads back."""
        parts = [self.signal, self.comparison, format_value(self.kind, self.value)]
        if self.lasting is not None:
            parts.append(f"for {format_duration(self.lasting)}")
        if self.after:
            parts.append(f"after {format_duration(self.after)}")
        parts += [word for word, given in (("abort", self.abort), ("optional", self.optional)) if given]
        return " ".join(parts)

    @property
    def kind(self) -> Kind:
        """Kind of the values that are compared."""
        return self.measure.kind

    @property
    def measure(self) -> Signal:
        """What makes the values.

        Raises:
            KeyError: there is no signal of that name; `parse` makes no such threshold.
        """
        found = find(self.signal)
        if found is None:
            raise KeyError(self.signal)
        return found


def parse(text: str) -> Threshold:
    """Return the threshold that a text says.

    Raises:
        BadThreshold: it says none.
    """
    return _Parser(text).threshold()


def check_operations(threshold: Threshold, ops: Collection[str]) -> None:
    """See that the operation that a threshold is about exists in the workload.

    Raises:
        BadThreshold: it does not.
    """
    op = operation_of(threshold.signal)
    if op is not None and op not in ops:
        column = len("op.") + 1
        raise BadThreshold(
            f"threshold {str(threshold)!r}, column {column}: the workload has no operation {op}"
            f"{_nearest(op, ops) or '; it has ' + ', '.join(ops)}"
        )


class _Parser:
    """Reads one threshold from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def threshold(self) -> Threshold:
        name = self._take(_SIGNAL, f"a signal must stand here; write for example {_EXAMPLE}")
        signal = find(name)
        if signal is None:
            self._fail(f"there is no signal {name}{_suggestion(name)}", back=len(name))
        comparison = self._take(_COMPARISON, "one of < <= > >= == != must stand here")
        value = self._value(signal)
        made = Threshold(signal.name, comparison, value)  # type: ignore[arg-type]  # one of the pattern's
        return self._clauses(made)

    def _value(self, signal: Signal) -> float:
        what = f"a value must stand here, such as in {signal.name} < {_example(signal.kind)}"
        text = self._take(_VALUE, what)
        try:
            return parse_value(signal.kind, text.strip())
        except ValueError as error:
            self._fail(str(error), back=len(text))

    def _clauses(self, made: Threshold) -> Threshold:
        given: set[str] = set()
        while self._skip() < len(self._text):
            word = self._take(_WORD, "")
            if word not in CLAUSES:
                self._fail(f"{word!r} is none of {', '.join(CLAUSES)}", back=len(word))
            if word in given:
                self._fail(f"{word} is given twice; keep one of them", back=len(word))
            given.add(word)
            if word == "for":
                made = made._replace(lasting=self._duration(word))
            elif word == "after":
                made = made._replace(after=self._duration(word))
            else:
                made = made._replace(abort=made.abort or word == "abort")
                made = made._replace(optional=made.optional or word == "optional")
        return made

    def _duration(self, word: str) -> float:
        text = self._take(_VALUE, f"a duration must follow {word}, such as {word} 1m")
        try:
            seconds = parse_duration(format_duration(parse_duration(text)))
        except ValueError as error:
            self._fail(str(error), back=len(text))
        if not seconds:
            self._fail(f"{word} 0 says nothing; leave it out", back=len(text))
        return seconds

    def _take(self, pattern: re.Pattern[str], otherwise: str) -> str:
        match = pattern.match(self._text, self._skip())
        if match is None or not match[0]:
            self._fail(otherwise)
        self._at = match.end()
        return match[0]

    def _skip(self) -> int:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
        return self._at

    def _fail(self, what: str, *, back: int = 0) -> NoReturn:
        raise BadThreshold(f"threshold {self._text!r}, column {self._at - back + 1}: {what}")


def _example(kind: Kind) -> str:
    return {"seconds": "200ms", "share": "1%", "rate": "5000", "count": "1", "bytes": "64MiB"}[kind]


def _suggestion(name: str) -> str:
    op = operation_of(name)
    names: Iterable[str] = known() if op is None else of_operation(op)
    return _nearest(name, names) or "; the table in docs/thresholds.md has them all"


def _nearest(name: str, names: Iterable[str]) -> str:
    best = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {best[0]}?" if best else ""
