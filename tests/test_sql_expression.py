"""pgbench's expressions: against its documentation, and against the program itself."""

import math
import re
import subprocess
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from daemon.workloads.sql.evaluate import compiled
from daemon.workloads.sql.expression import parse_expression, variables
from daemon.workloads.sql.functions import ScriptError, Value

SEED = 42
ERRORS = {
    "9223372036854775807 + 1": "too large for 64 bits",
    "-9223372036854775808 / -1": "too large for 64 bits",
    "3 * 4611686018427387904": "too large for 64 bits",
    "9223372036854775808": "too large for 64 bits",
    "1e400": "too large",
    "int(1e19)": "too large for 64 bits",
    "5 / 0": "division by zero",
    "5 % 0": "division by zero",
    "1 + true": "true is not a number",
    "random(5, 1)": "the first bound is the larger one",
    "random(0, 9223372036854775807)": "too large",
    "random_zipfian(1, 10, 1.0)": "at least 1.001 and at most 1000",
    "random_gaussian(1, 10, 1.9)": "at least 2",
    "random_exponential(1, 10, 0)": "above 0",
    "permute(5, 0)": "above 0",
    "abs()": "abs takes 1 argument, not 0",
    "random(1)": "random takes 2 arguments, not 1",
    "least()": "least takes at least one argument, not 0",
    "hash(1, 2, 3)": "hash takes 1 or 2 arguments, not 3",
    "foo(1)": "there is no function foo; there are abs, ",
    "1 < 2 < 3": "without brackets: '<'",
    "1 1": "an operator is missing before '1'",
    "(1": "ends too early",
    "1 +": "ends too early",
    "1 + )": "a value is expected, not ')'",
    "1 @ 2": "'@' does not belong into an expression",
    "case 1 end": "CASE goes on with WHEN, not with '1'",
    "case when true 1 end": "THEN is expected, not '1'",
    "1 is 2": "IS goes with NULL, TRUE or FALSE, not with '2'",
    "(" * 60 + "1" + ")" * 60: "more than 50 brackets",
}


def value(text: str, **fixed: Value) -> Value:
    """Return an expression's value, its variables known beforehand."""
    return compiled(parse_expression(text), {"default_seed": SEED, **fixed})({}, Random(1))


# The examples of the documentation, and what its text promises.
DOCUMENTED: dict[str, Value] = {
    "5 or 0": True, "3 and 0": False, "not false": True, "1 is null": False, "1 notnull": True,
    "null isnull": True, "5 = 4": False, "5 <> 4": True, "5 != 5": False, "5 < 4": False, "5 <= 4": False,
    "5 > 4": True, "5 >= 4": True, "1 | 2": 3, "1 # 3": 2, "1 & 3": 1, "~ 1": -2, "1 << 2": 4, "8 >> 2": 2,
    "5 + 4": 9, "3 - 2.0": 1.0, "5 * 4": 20, "5 / 3": 1, "-5 / 3": -1, "3 % 2": 1, "- 2.0": -2.0,
    "abs(-17)": 17, "debug(5432.1)": 5432.1, "double(5432)": 5432.0, "exp(1.0)": math.e,
    "greatest(5, 4, 3, 2)": 5, "hash(10, 5432)": -5817877081768721676,
    "hash_fnv1a(10, 5432)": -7793829335365542153, "hash_murmur2(10, 5432)": -5817877081768721676,
    "int(5.4 + 3.8)": 9, "least(5, 4, 3, 2.1)": 2.1, "ln(2.718281828459045)": 1.0, "mod(54, 32)": 22,
    "pi()": math.pi, "pow(2.0, 10)": 1024.0, "power(2.0, 10)": 1024.0, "sqrt(2.0)": math.sqrt(2),
    "5 + null": None, "abs(null)": None, "case when null then 1 end": None,
    "case when false then 1 when 2 then 3 else 4 end": 3, "null is not true": True,
}  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), DOCUMENTED.items())
def test_the_documented_examples_hold(text: str, wanted: Value) -> None:
    found = value(text)
    assert type(found) is type(wanted)
    assert found == pytest.approx(wanted) if isinstance(wanted, float) else found == wanted


@pytest.mark.parametrize(("text", "reason"), ERRORS.items())
def test_what_has_no_value_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ScriptError, match=re.escape(reason)):
        value(text)


@pytest.mark.parametrize(
    "text", [*DOCUMENTED, ":n + 1", "case when :n > 1 then :n / 0 else random(1, :n) end"]
)
def test_a_value_is_the_same_whether_its_variables_are_known_beforehand_or_not(text: str) -> None:
    tree = parse_expression(text)
    late = compiled(tree, {})({"n": 1, "default_seed": SEED}, Random(1))
    early = compiled(tree, {"n": 1, "default_seed": SEED})({}, Random(1))
    assert late == early


def test_a_part_that_is_not_reached_need_not_have_a_value() -> None:
    """Also when everything in it is known beforehand."""
    assert value("case when :n > 0 then random(1, :n) else 0 end", n=0) == 0
    with pytest.raises(ScriptError, match="division by zero"):
        value("case when true then 1 / 0 end")


def test_variables_are_looked_up_when_the_value_is_wanted() -> None:
    evaluate = compiled(parse_expression("100000 * :scale + :more"), {"scale": 3})
    assert evaluate({"more": 5}, Random(1)) == 300005
    assert evaluate({"more": "6"}, Random(1)) == 300006  # a column's value comes as text
    with pytest.raises(ScriptError, match="the variable more is not set yet"):
        evaluate({}, Random(1))
    with pytest.raises(ScriptError, match="'six' is not a number"):
        evaluate({"more": "six"}, Random(1))


def test_the_names_of_all_variables_are_told() -> None:
    assert variables(parse_expression("case when :a then hash(:b) else abs(-:größe) end")) == {
        "a", "b", "größe", "default_seed",
    }  # fmt: skip


def test_names_and_keywords_may_be_written_in_any_case() -> None:
    assert value("CASE When True THEN ABS(-1) eLse NULL End") == 1


INTEGERS = ("0", "1", "2", "3", "7", "-1", "-5", "100", "4294967296", "-9223372036854775808", ":n")
DOUBLES = ("0.0", "1.5", "-2.5", "0.1", "1e10", "3.0e-5", "pi()")


class Speller:
    """Makes up expressions that pgbench accepts: it does not take a number for a boolean, nor the reverse."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)

    def number(self, depth: int) -> str:
        """Return an expression whose value is a number or NULL."""
        choose = self._rng.choice
        if depth == 0:
            return choose((*INTEGERS, *DOUBLES, "null"))
        a, b = (self.number(self._rng.randrange(depth)) for _ in range(2))
        flag = self.flag(depth - 1)
        return choose((
            f"{a} {choose('+-*/%')} {b}", f"({a} {choose('+-*/')} {b})",
            f"{a} {choose(('|', '#', '&', '<<', '>>'))} {b}", f"- {a}", f"~ {a}", f"+ {a}",
            f"{choose(('abs', 'int', 'double', 'exp', 'ln', 'sqrt', 'hash', 'hash_fnv1a', 'debug'))}({a})",
            f"{choose(('mod', 'pow', 'power', 'least', 'greatest', 'hash_murmur2'))}({a}, {b})",
            f"case when {flag} then {a} else {b} end",
        ))  # fmt: skip

    def flag(self, depth: int) -> str:
        """Return an expression whose value is a boolean or NULL."""
        choose = self._rng.choice
        if depth == 0:
            return choose(("true", "false", "null"))
        a, b = (self.number(self._rng.randrange(depth)) for _ in range(2))
        p, q = (self.flag(self._rng.randrange(depth)) for _ in range(2))
        return choose((
            f"{a} {choose(('=', '<>', '!=', '<', '<=', '>', '>='))} {b}", f"{p} and {q}", f"{p} or {q}",
            f"not {p}", f"({p})", f"{p} is {choose(('', 'not '))}{choose(('null', 'true', 'false'))}",
            f"{a} {choose(('isnull', 'notnull'))}",
        ))  # fmt: skip


def said(found: Value) -> str:
    """Return a value as pgbench's debug() prints it."""
    if found is None:
        return "null"
    if isinstance(found, bool):
        return f"boolean {str(found).lower()}"
    if isinstance(found, int):
        return f"int {found}"
    words = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN", "-nan": "NaN"}
    number = f"{found:.15g}"
    return f"double {words.get(number, number)}"


def test_values_are_those_that_pgbench_finds(postgres_binaries: Path, database: str, tmp_path: Path) -> None:
    """A few hundred expressions, in one script; those without a value would end it, and are left out."""
    speller = Speller(5)
    wanted: dict[str, str] = {}
    while len(wanted) < 500:
        text = speller.number(4) if len(wanted) % 2 else speller.flag(4)
        try:
            wanted[text] = said(value(text, n=12))
        except ScriptError:
            continue
    script = tmp_path / "expressions.sql"
    script.write_text("".join(f"\\set found debug({text})\n" for text in wanted))
    parts = urlsplit(database)
    done = subprocess.run(
        [postgres_binaries / "pgbench", "-n", "-t", "1", "-f", script,
         "-D", "n=12", "-D", f"default_seed={SEED}",
         "-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username), parts.path[1:]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # a debug() inside an expression prints before the one around it
    found = dict(re.findall(r"debug\(script=0,command=(\d+)\): (.*)", done.stderr))
    theirs = {text: found.get(str(number)) for number, text in enumerate(wanted, 1)}
    assert theirs == wanted, done.stderr[-300:]
