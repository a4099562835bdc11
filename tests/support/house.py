"""The house rules that no linter knows: each is a function from a source file to its breaches."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FUNCTION_LIMIT, FILE_LIMIT = 60, 400
FUNCTION_GUIDANCE, FILE_GUIDANCE = 40, 300

EFFECTS = {"db", "stripe", "mail", "clock"}
IMPURE = {  # standard modules through which a pure room would reach the world
    "asyncio", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "shutil", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
WALL_CLOCKS = {"now", "utcnow", "today"}
VAGUE = re.compile(r"(Manager|Service|Helper|Util|Utils|Base)$")
SECRET = re.compile(r"(^|_)(token|secret|signature|hmac|mac|password|passwd|api_key)$")
# Written so that this line does not find itself.
LEFT_OPEN = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|NotImplementedErro[r])\b")


@dataclass(frozen=True)
class Source:
    """One Python file; `name` is its path below the repository, with slashes."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    def at(self, node: ast.AST, fact: str) -> str:
        return f"{self.name}:{getattr(node, 'lineno', 1)}: {fact}"

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    def imports(self) -> Iterator[tuple[ast.AST, str]]:
        """Every imported name, dotted: `from a import b` gives `a.b`."""
        for node in self.nodes(ast.Import, ast.ImportFrom):
            if isinstance(node, ast.ImportFrom):
                yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)


Rule = Callable[[Source], Iterator[str]]


def repository_files(root: Path) -> list[Path]:
    """What git keeps or would keep; in an archive without git, everything but environments."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        paths = [root / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [
            path for path in root.rglob("*") if not any(p.startswith(".venv") for p in path.parts)
        ]
    return sorted({path for path in paths if path.is_file()})


def sources(root: Path, *folders: str) -> list[Source]:
    """The Python files of these folders."""
    return [
        Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for path in repository_files(root)
        if path.suffix == ".py" and path.is_relative_to(root) and _within(path, root, folders)
    ]


def _within(path: Path, root: Path, folders: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(root / folder) for folder in folders)


def function_lengths(source: Source) -> Iterator[tuple[ast.AST, int]]:
    for node in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield node, (node.end_lineno or node.lineno) - node.lineno + 1


def long_functions(source: Source) -> Iterator[str]:
    for node, lines in function_lengths(source):
        if lines > FUNCTION_LIMIT:
            yield source.at(node, f"{node.name} has {lines} lines")  # type: ignore[attr-defined]


def long_file(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > FILE_LIMIT:
        yield f"{source.name}: {lines} lines"


def reads_the_environment(source: Source) -> Iterator[str]:
    for node in source.nodes(ast.Attribute):
        if ast.unparse(node) in ("os.environ", "os.environb", "os.getenv"):
            yield source.at(node, ast.unparse(node))
    for node, name in source.imports():
        if name in ("os.environ", "os.environb", "os.getenv"):
            yield source.at(node, name)


def foreign_to_the_core(source: Source) -> Iterator[str]:
    """The core imports the pure part of the standard library, itself, and what lies below it."""
    ours = ("commande.core.", "commande.errors.", "commande.ids.")
    for node, name in source.imports():
        room = name.split(".")[0]
        pure = room in sys.stdlib_module_names and room not in IMPURE
        if not pure and not name.startswith("urllib.parse.") and not f"{name}.".startswith(ours):
            yield source.at(node, f"imports {name}")


def asks_the_wall_clock(source: Source) -> Iterator[str]:
    for node in source.nodes(ast.Call):
        assert isinstance(node, ast.Call)
        match node.func:
            case ast.Attribute(value=owner, attr=name) if name in WALL_CLOCKS:
                if ast.unparse(owner).split(".")[-1] in ("datetime", "date"):
                    yield source.at(node, ast.unparse(node.func))


def foreign_awaits(source: Source) -> Iterator[str]:
    """A flow awaits a call on shop.db, shop.stripe, shop.mail, shop.clock, or another flow."""
    flows = {
        node.name for node in source.nodes(ast.AsyncFunctionDef)
        if isinstance(node, ast.AsyncFunctionDef)
    }  # fmt: skip
    for _, name in source.imports():
        if name.startswith("commande.flows."):
            flows.add(name.split(".")[-1])
    for node in source.nodes(ast.Await, ast.AsyncFor, ast.AsyncWith):
        if isinstance(node, ast.AsyncWith):
            awaited: list[ast.expr] = [item.context_expr for item in node.items]
        elif isinstance(node, ast.Await):
            awaited = [node.value]
        else:
            assert isinstance(node, ast.AsyncFor)
            awaited = [node.iter]
        for expression in awaited:
            if not _is_effect_or_flow(expression, flows):
                yield source.at(node, f"awaits {ast.unparse(expression)}")


def _is_effect_or_flow(expression: ast.expr, flows: set[str]) -> bool:
    match expression:
        case ast.Call(
            func=ast.Attribute(value=ast.Attribute(value=ast.Name(id="shop"), attr=effect))
        ):
            return effect in EFFECTS
        case ast.Call(func=ast.Name(id=name)):
            return name in flows
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module))):
            return module in flows
    return False


def compares_secrets_plainly(source: Source) -> Iterator[str]:
    """`==` on a secret leaks it through time: use hmac.compare_digest, or look its hash up."""
    for node in source.nodes(ast.Compare):
        assert isinstance(node, ast.Compare)
        sides = [node.left, *node.comparators]
        plain = any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
        secret = any(SECRET.search(_last_name(side)) for side in sides)
        if plain and secret and not any(isinstance(side, ast.Constant) for side in sides):
            yield source.at(node, ast.unparse(node))


def _last_name(expression: ast.expr) -> str:
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lower()
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name.lower().replace("-", "_")
        case ast.Call(func=ast.Attribute(value=value, attr="encode" | "hex" | "get_secret_value")):
            return _last_name(value)
    return ""


def vague_names(source: Source) -> Iterator[str]:
    if VAGUE.search(Path(source.name).stem.title()):
        yield f"{source.name}: a file is named after what it is"
    for node in source.nodes(ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        if VAGUE.search(node.name):
            yield source.at(node, f"class {node.name}")


def patches(source: Source) -> Iterator[str]:
    for node, name in source.imports():
        if name.startswith(("unittest.mock", "mock.")) or name == "mock":
            yield source.at(node, f"imports {name}")
    for node in source.nodes(ast.Attribute):
        if ast.unparse(node) == "monkeypatch.setattr":
            yield source.at(node, "monkeypatch.setattr")


def left_open(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if LEFT_OPEN.search(line):
            yield f"{source.name}:{number}: {line.strip()}"
