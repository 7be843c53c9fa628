"""Error codes as the source spells them, found in its syntax: what the documents must explain."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "jarvis_proxy"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Found:
    """*codes*: every literal. *pairs*: a literal status with its code. *computed*: the rest.

    A computed code is ``module: expression``; somebody has to say what it can become.
    """

    codes: set[str] = field(default_factory=set)
    pairs: set[tuple[int, str]] = field(default_factory=set)
    computed: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Taker:
    """A function or class that takes a code: where among its arguments, and what it makes of it."""

    position: int | None
    template: str = "{}"


def find_codes(package: Path = PACKAGE) -> Found:
    """Return what the modules of *package* say about error codes."""
    trees = {
        path.relative_to(package).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }
    everywhere: dict[str, _Taker] = {}
    for tree in trees.values():
        everywhere |= _takers(tree)
    found = Found()
    for module, tree in trees.items():
        _search(module, tree, everywhere | _takers(tree), found)
    return found


def _takers(tree: ast.Module) -> dict[str, _Taker]:
    """Return what in one module takes a ``code``, by name."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names = [
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            ]
            if "code" in names:
                found[node.name] = _Taker(names.index("code"))
        elif isinstance(node, _Function):
            names = [arg.arg for arg in node.args.args if arg.arg not in ("self", "cls")]
            if "code" in names:
                found[node.name] = _Taker(names.index("code"), _template(node))
    return found


def _template(function: _Function) -> str:
    """Return ``upstream_{}`` where a function says ``code=f"upstream_{code}"``."""
    for node in ast.walk(function):
        if isinstance(node, ast.keyword) and node.arg == "code" and _wraps_code(node.value):
            pieces = node.value.values if isinstance(node.value, ast.JoinedStr) else ()
            return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in pieces)
    return "{}"


def _wraps_code(value: ast.expr) -> bool:
    if not isinstance(value, ast.JoinedStr):
        return False
    inner = [p.value for p in value.values if isinstance(p, ast.FormattedValue)]
    return len(inner) == 1 and isinstance(inner[0], ast.Name) and inner[0].id == "code"


def _search(module: str, tree: ast.Module, takers: dict[str, _Taker], found: Found) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            taker = takers.get(name, _Taker(None))
            for value in _arguments(node, taker):
                for code in _literals(module, value, found):
                    code = taker.template.format(code)
                    found.codes.add(code)
                    first = node.args[0] if node.args else None
                    if isinstance(first, ast.Constant) and isinstance(first.value, int):
                        found.pairs.add((first.value, code))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for value in _assigned(target, node.value):
                    found.codes.update(_literals(module, value, found))
        elif isinstance(node, _Function):
            found.codes.update(_defaults(node))


def _arguments(call: ast.Call, taker: _Taker) -> Iterator[ast.expr]:
    """Yield what *call* gives as a code."""
    if taker.position is not None and taker.position < len(call.args):
        yield call.args[taker.position]
    yield from (keyword.value for keyword in call.keywords if keyword.arg == "code")


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[ast.expr]:
    """Yield what an assignment gives to a variable or attribute called ``code``."""
    if getattr(target, "id", getattr(target, "attr", "")) == "code":
        yield value
    elif isinstance(target, ast.Tuple):
        for index, item in enumerate(target.elts):
            if getattr(item, "id", getattr(item, "attr", "")) == "code":
                yield value.elts[index] if isinstance(value, ast.Tuple) else value


def _defaults(function: _Function) -> Iterator[str]:
    arguments = function.args.posonlyargs + function.args.args
    for arg, default in zip(
        arguments[len(arguments) - len(function.args.defaults) :],
        function.args.defaults,
        strict=True,
    ):
        if arg.arg == "code" and isinstance(default, ast.Constant) and default.value:
            yield str(default.value)


def _literals(module: str, value: ast.expr, found: Found) -> Iterator[str]:
    """Yield the codes that *value* can be; note what only runs can tell."""
    match value:
        case ast.Constant():
            if isinstance(value.value, str) and value.value:
                yield value.value
        case ast.IfExp():
            yield from _literals(module, value.body, found)
            yield from _literals(module, value.orelse, found)
        case ast.BoolOp():
            for part in value.values:
                yield from _literals(module, part, found)
        case ast.Name() | ast.Attribute():
            pass  # another error's code, or a variable: its assignment is looked at, too
        case ast.JoinedStr() if _wraps_code(value):
            pass  # the template of a taker, filled in where it is called
        case ast.Call(func=ast.Name(id="str"), args=[ast.Attribute(attr="code")]):
            pass  # the same code, as text
        case _:
            found.computed.add(f"{module}: {ast.unparse(value)}")
