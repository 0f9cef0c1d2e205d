r"""The expressions of pgbench's \set and \if: read into a tree of plain data.

The language is that of PostgreSQL's documentation of pgbench
(https://www.postgresql.org/docs/15/pgbench.html, "Built-in operators" and "Built-in functions"):
numbers, booleans, NULL, `:variables`, operators with SQL's precedence, functions and CASE.
"""

import re
from typing import NamedTuple, Union

from daemon.workloads.sql.functions import FUNCTIONS, LOWEST, ScriptError, Value, number

DEEPEST = 50  # brackets, CASEs and signs within one another

# The operators that stand between two values: a higher level binds tighter, one level is read from the left.
_LEVELS = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(("is", "isnull", "notnull"), 4),
    **dict.fromkeys(("=", "<>", "!=", "<", "<=", ">", ">="), 5),
    **dict.fromkeys(("|", "#", "&", "<<", ">>"), 6),
    **dict.fromkeys(("+", "-"), 7),
    **dict.fromkeys(("*", "/", "%"), 8),
}
_COMPARING = 5
# Those that stand before one: the level of what they take.
_PREFIXES = {"not": 3, "~": 7, "-": 9, "+": 9}
_CONSTANTS: dict[str, Value] = {"null": None, "true": True, "false": False}
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
          | :(?P<variable>[^\W\d]\w*)
          | (?P<word>[^\W\d]\w*)
          | (?P<sign><<|>>|<=|>=|<>|!=|[-+*/%=<>|&#~(),])
          | (?P<end>\Z))""",
    re.VERBOSE,
)


class Constant(NamedTuple):
    """A number, a boolean or NULL."""

    value: Value


class Variable(NamedTuple):
    """What a variable holds."""

    name: str


class Call(NamedTuple):
    """An operator or a function, in lower case; `case` has pairs of condition and value, and then ELSE."""

    name: str
    args: tuple["Expression", ...]


Expression = Union[Constant, Variable, Call]  # noqa: UP007 - Call refers to it before it is there


def parse_expression(text: str) -> Expression:
    """Return the tree of an expression.

    Raises:
        ScriptError: it is none; the message says what is wrong and where.
    """
    return _Reader(text).whole()


def variables(tree: Expression) -> set[str]:
    """Return the names of the variables that an expression looks at."""
    if isinstance(tree, Call):
        return set().union(*map(variables, tree.args))
    return {tree.name} if isinstance(tree, Variable) else set()


class _Reader:
    """Reads one expression, a token at a time."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._depth = 0
        self._advance()

    def whole(self) -> Expression:
        tree = self._expression(0)
        if self._kind != "end":
            self._refuse("an operator is missing before")
        return tree

    def _advance(self) -> str:
        """Go on to the next token and return the one before, in lower case if it is a word."""
        taken = getattr(self, "_word", "")
        match = _TOKEN.match(self._text, self._end)
        if match is None:
            rest = self._text[self._end :].lstrip()
            raise ScriptError(f"{rest[:1]!r} does not belong into an expression")
        self._kind = str(match.lastgroup)
        self._word = match[self._kind].lower() if self._kind == "word" else match[self._kind]
        self._end = match.end()
        return taken

    def _refuse(self, what: str) -> None:
        raise ScriptError(f"{what} {self._word!r}" if self._word else "the expression ends too early")

    def _take(self, wanted: str) -> None:
        if self._word != wanted:
            self._refuse(f"{wanted.upper()} is expected, not")
        self._advance()

    def _expression(self, level: int) -> Expression:
        """Read what binds tighter than `level`."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise ScriptError(f"more than {DEEPEST} brackets or signs within one another")
        tree = self._operand()
        compared = False
        while self._kind in ("sign", "word") and (found := _LEVELS.get(self._word, 0)) > level:
            if found == _COMPARING and compared:
                self._refuse("a comparison cannot follow another one without brackets:")
            compared = found == _COMPARING
            operator = self._advance()
            if operator in ("is", "isnull", "notnull"):
                tree = self._test(operator, tree)
            else:
                tree = Call("<>" if operator == "!=" else operator, (tree, self._expression(found)))
        self._depth -= 1
        return tree

    def _test(self, operator: str, tree: Expression) -> Expression:
        if operator != "is":
            isnull = Call("is", (tree, Constant(None)))
            return isnull if operator == "isnull" else Call("not", (isnull,))
        negated = self._word == "not"
        if negated:
            self._advance()
        if self._word not in _CONSTANTS:
            self._refuse("IS goes with NULL, TRUE or FALSE, not with")
        test = Call("is", (tree, Constant(_CONSTANTS[self._advance()])))
        return Call("not", (test,)) if negated else test

    def _operand(self) -> Expression:
        kind, word = self._kind, self._advance()
        if kind == "number":
            return Constant(number(word))
        if kind == "variable":
            return Variable(word)
        if word == "(":
            tree = self._expression(0)
            self._take(")")
            return tree
        if word in _PREFIXES:
            return self._signed(word)
        if kind == "word":
            return self._named(word)
        raise ScriptError(f"a value is expected, not {word!r}" if word else "the expression ends too early")

    def _named(self, name: str) -> Expression:
        if name in _CONSTANTS:
            return Constant(_CONSTANTS[name])
        return self._case() if name == "case" else self._function(name)

    def _signed(self, sign: str) -> Expression:
        # the smallest number has no positive counterpart, so its sign belongs to it
        if sign == "-" and self._word == str(-LOWEST):
            self._advance()
            return Constant(LOWEST)
        operand = self._expression(_PREFIXES[sign] - 1)
        if sign == "+":
            return operand
        return Call("-", (Constant(0), operand)) if sign == "-" else Call(sign, (operand,))

    def _case(self) -> Expression:
        args: list[Expression] = []
        while self._word == "when":
            self._advance()
            args.append(self._expression(0))
            self._take("then")
            args.append(self._expression(0))
        if not args:
            self._refuse("CASE goes on with WHEN, not with")
        otherwise: Expression = Constant(None)
        if self._word == "else":
            self._advance()
            otherwise = self._expression(0)
        self._take("end")
        return Call("case", (*args, otherwise))

    def _function(self, name: str) -> Expression:
        function = FUNCTIONS.get(name)
        if function is None:
            raise ScriptError(f"there is no function {name}; there are {', '.join(sorted(FUNCTIONS))}")
        self._take("(")
        args: list[Expression] = []
        while self._word != ")":
            if args:
                self._take(",")
            args.append(self._expression(0))
        self._advance()
        if not function.least <= len(args) <= function.most:
            raise ScriptError(f"{name} takes {function.takes}, not {len(args)}")
        if function.seeded and len(args) < function.most:
            args.append(Variable("default_seed"))
        return Call(name, tuple(args))
