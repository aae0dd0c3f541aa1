"""The house rules as code: each takes one source file and yields the sentences it breaks.

A sentence is `path:line: what was found; what would do`. The limits may only be tightened.
`test_house_rules.py` runs every rule over the tree, and plants a fault for each to show that it bites.
"""

import ast
import functools
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import msgspec

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
KERNEL_LINES_MAX = 120
PARAMETERS_MAX = 5
POSITIONAL_MAX = 2

FILE_NAMES_BANNED = {"utils.py", "helpers.py", "common.py", "misc.py", "manager.py"}
# The part of the dictionary that can be told by a machine: what these words mean has another name here.
SAY_INSTEAD = {
    "ask": "offer",
    "asks": "offers",
    "listing": "offer",
    "listings": "offers",
    "supplier": "provider",
    "datacenter": "site",
    "datacentre": "site",
    "bucket": "slot",
    "cutoff": "gate closure",
    "allocation": "award",
    "allocations": "awards",
    "bonus": "uplift",
    "rental": "lease",
    "manager": "a word for what it does",
    "entity": "row, or the thing's own name",
}
EFFECT_MODULES = {
    "asyncio", "concurrent", "http", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil",
    "signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
EFFECT_BUILTINS = {"open", "input", "print", "hash", "breakpoint"}
CLOCK_CALLS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
CLOCK_FILES = {"broker/clock.py"}
ENVIRONMENT_FILES = {"broker/settings.py"}
COMMIT_FILES = {"broker/store/unit_of_work.py"}
# Methods whose parameters a framework calls by position: ASGI's three, and click's.
SIGNATURES_IMPOSED = {"handle": ["scope", "receive", "send"], "make_context": ["info_name", "args", "parent"]}
TODO_FORM = re.compile(r"TODO\(until [^)]+\): \S")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source(msgspec.Struct, frozen=True):
    """One file: its path below the project with forward slashes, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """The syntax tree. Raises SyntaxError."""
        return _parsed(self.text)

    @property
    def pure(self) -> bool:
        """Whether the file lies below the line, where nothing reaches outside."""
        return self.path.startswith(("contracts/", "pricing/"))


@functools.cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _dotted(node: ast.AST) -> str:
    """`datetime.now` for the tree of it; the last two names are enough to tell."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value).rsplit('.', 1)[-1]}.{name}"
        case _:
            return ""


def _decorators(node: Function | ast.ClassDef) -> set[str]:
    calls = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return {_dotted(call).rsplit(".", 1)[-1] for call in calls}


def file_is_short(source: Source) -> Iterator[str]:
    """A file can be read in one sitting."""
    lines = len(source.text.splitlines())
    if lines > FILE_LINES_MAX:
        yield f"{source.path}:1: {lines} lines; at most {FILE_LINES_MAX}, is it one thing?"


def function_is_short(source: Source) -> Iterator[str]:
    """A function fits on a screen; a compiled kernel may take two."""
    for node in _functions(source.tree):
        limit = KERNEL_LINES_MAX if "kernel" in _decorators(node) else FUNCTION_LINES_MAX
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > limit:
            yield f"{source.path}:{node.lineno}: {node.name} has {lines} lines; at most {limit}"


def parameters_are_few(source: Source) -> Iterator[str]:
    """At most five parameters, named at the call after the second. Routes and commands are called by their framework, by name."""
    for node in _functions(source.tree):
        is_command = source.path.startswith("broker/commands/") and node.name.endswith("_command")
        if is_command or _decorators(node) & {"command", "get", "post", "put", "patch", "delete"}:
            continue
        positional = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
        if positional[:1] in (["self"], ["cls"], ["mcs"]):
            positional.pop(0)
        if SIGNATURES_IMPOSED.get(node.name) == positional[:3]:
            continue
        count = len(positional) + len(node.args.kwonlyargs)
        if count > PARAMETERS_MAX:
            yield f"{source.path}:{node.lineno}: {node.name} takes {count} parameters; at most {PARAMETERS_MAX}, is there a struct in them?"
        by_position = "kernel" in _decorators(node)  # compiled code knows no keyword-only parameters
        if len(positional) > POSITIONAL_MAX and not by_position and not node.args.vararg and not node.name.startswith("__"):
            yield f"{source.path}:{node.lineno}: {node.name} takes {len(positional)} by position; a `*` after the second would do"


def public_is_described(source: Source) -> Iterator[str]:
    """Every public module, class and function says what it means."""
    tree = source.tree
    if tree.body and not ast.get_docstring(tree):
        yield f"{source.path}:1: the module has no docstring"
    owners: list[ast.Module | ast.ClassDef] = [tree]
    while owners:
        for node in owners.pop().body:
            if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and not _decorators(node) & {"override", "overload", "setter"}:
                yield f"{source.path}:{node.lineno}: {node.name} has no docstring"
            if isinstance(node, ast.ClassDef):
                owners.append(node)


def names_are_banned(source: Source) -> Iterator[str]:
    """No drawer for what has no place."""
    name = PurePosixPath(source.path).name
    if name in FILE_NAMES_BANNED:
        yield f"{source.path}:1: a file named {name}; name it for what it holds"


def _defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case _:
                pass


def words_are_ours(source: Source) -> Iterator[str]:
    """One word per thing: names we define use the dictionary's."""
    for line, name in _defined_names(source.tree):
        words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().split("_")
        for word in words:
            if word in SAY_INSTEAD:
                yield f"{source.path}:{line}: {name} says {word}; say {SAY_INSTEAD[word]}"


def page_words_are_ours(source: Source) -> Iterator[str]:
    """The same dictionary for what people read on the pages."""
    for number, line in enumerate(source.text.splitlines(), start=1):
        for word in re.findall(r"[a-z]+", line.lower()):
            if word in SAY_INSTEAD and word not in {"ask", "asks"}:
                yield f"{source.path}:{number}: the page says {word}; say {SAY_INSTEAD[word]}"


def imports_stand_at_the_top(source: Source) -> Iterator[str]:
    """What a file needs is seen at its head; an inner import hides a cycle."""
    for function in _functions(source.tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield f"{source.path}:{node.lineno}: {function.name} imports inside"


def nothing_prints(source: Source) -> Iterator[str]:
    """The terminal belongs to the commands, which write through rich or typer."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _dotted(node.func) == "print":
            yield f"{source.path}:{node.lineno}: print; a command's console would do"


def excepts_are_named(source: Source) -> Iterator[str]:
    """A refusal is a named error; whatever else comes is a bug and must be seen."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{source.path}:{node.lineno}: bare except; name the error"


def todos_end(source: Source) -> Iterator[str]:
    """A TODO says what ends it and why it waits: `TODO(until blocks land): ...`."""
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    for token in tokens:
        if token.type == tokenize.COMMENT and re.search(r"\b(TODO|FIXME|XXX)\b", token.string) and not TODO_FORM.search(token.string):
            yield f"{source.path}:{token.start[0]}: a TODO without its end; `TODO(until CONDITION): REASON` would do"


def signatures_say_what_passes(source: Source) -> Iterator[str]:
    """No `dict[str, Any]` in a public signature: a struct has names and units."""
    for node in _functions(source.tree):
        if node.name.startswith("_"):
            continue
        every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        for note in (*(arg.annotation for arg in every), node.returns):
            if note is not None and "dict[str, Any]" in ast.unparse(note):
                yield f"{source.path}:{node.lineno}: {node.name} passes dict[str, Any]; a struct or a narrower type would do"


def below_the_line_is_pure(source: Source) -> Iterator[str]:
    """Contracts and pricing read no clock, socket, file, environment or chance: a replay gives the same bytes."""
    if not source.pure:
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.stmt | ast.expr):
            continue
        line = node.lineno
        match node:
            case ast.Import(names=names):
                found = {name.name.split(".")[0] for name in names} & EFFECT_MODULES
            case ast.ImportFrom(module=str(module)):
                found = {module.split(".")[0]} & EFFECT_MODULES
            case ast.Call(func=func, args=[], keywords=[]) if _dotted(func) in {"random.default_rng", "default_rng"}:
                found = {"default_rng() without a seed"}
            case ast.Call(func=func):
                found = {_dotted(func)} & (EFFECT_BUILTINS | CLOCK_CALLS)
            case _:
                continue
        for name in sorted(found):
            yield f"{source.path}:{line}: {name} below the line; take the value as an argument"


def effects_have_their_place(source: Source) -> Iterator[str]:
    """Above the line one file reads the clock, one the environment, one commits; a command may hand the environment to the settings."""
    handed_over: set[ast.AST] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            if name.endswith("read_settings"):
                handed_over.update(node.args)
            if name in CLOCK_CALLS and source.path not in CLOCK_FILES:
                yield f"{source.path}:{node.lineno}: {name} reads the clock; take a Clock as an argument"
            if name.endswith(".commit") and source.path not in COMMIT_FILES:
                yield f"{source.path}:{node.lineno}: commit; the unit of work alone commits"
        elif isinstance(node, ast.Attribute) and _dotted(node) in {"os.environ", "os.getenv"}:
            if node in handed_over or source.path in ENVIRONMENT_FILES:
                continue
            yield f"{source.path}:{node.lineno}: reads the environment; settings are read once, in broker/settings.py"


Rule = Callable[[Source], Iterator[str]]
PYTHON_RULES: tuple[Rule, ...] = (
    file_is_short,
    function_is_short,
    parameters_are_few,
    public_is_described,
    names_are_banned,
    words_are_ours,
    imports_stand_at_the_top,
    nothing_prints,
    excepts_are_named,
    todos_end,
    signatures_say_what_passes,
    below_the_line_is_pure,
    effects_have_their_place,
)
