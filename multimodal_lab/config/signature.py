"""Read the signature of a `_target_` from source, without importing it; it is the schema of its config node."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from multimodal_lab.config.targets import THIRD_PARTY

PACKAGE = Path(__file__).resolve().parents[1]
Definition = ast.ClassDef | ast.FunctionDef | ast.expr


class SourceError(ValueError):
    """A `_target_` whose source file or definition can't be found."""


class Module:
    """The top-level names of one source file: what defines each, and where the imported ones come from."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.definitions: dict[str, Definition] = {}
        self.imports: dict[str, tuple[str, str]] = {}
        self._read(ast.parse(path.read_text(encoding="utf-8")).body)

    def _read(self, body: list[ast.stmt]) -> None:
        for node in body:
            match node:
                case ast.ClassDef() | ast.FunctionDef():
                    self.definitions[node.name] = node
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self.definitions[name] = value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    self.definitions[name] = value
                case ast.ImportFrom(module=source, level=level):
                    source = ".".join([*self._above(level), *([source] if source else [])])
                    self.imports |= {a.asname or a.name: (source, a.name) for a in node.names}
                case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                    self._read(node.body)

    def _above(self, level: int) -> list[str]:
        """The package that a relative import of so many dots starts from; [] for an absolute one."""
        parts = self.name.split(".")
        return parts[: len(parts) + (self.path.name == "__init__.py") - level] if level else []


@dataclass(frozen=True)
class Parameter:
    """One argument: its annotation as written and where its names are to be looked up."""

    name: str
    annotation: ast.expr | None
    default: ast.expr | None
    module: Module

    @property
    def required(self) -> bool:
        """True if it has no default."""
        return self.default is None


@dataclass(frozen=True)
class Signature:
    """What a class or function takes; `open_to` is its `**kwargs`, None where other keys are refused."""

    target: str
    parameters: dict[str, Parameter]
    open_to: Parameter | None = None

    @property
    def label(self) -> str:
        """The name as messages show it: `attention.Attention`."""
        return ".".join(self.target.split(".")[-2:])


@cache
def signature(target: str) -> Signature:
    """What a class's `__init__` (a dataclass's fields) or a function takes; `SourceError` if it can't be read."""
    module, node = definition(target)
    if isinstance(node, ast.FunctionDef):
        return Signature(target, *_arguments(module, node.args))
    if isinstance(node, ast.ClassDef):
        return of_class(module, node)
    raise SourceError(f"{target} is neither a class nor a function")


def of_class(module: Module, node: ast.ClassDef) -> Signature:
    """The signature of a class found in `module`."""
    return Signature(f"{module.name}.{node.name}", *_of_class(module, node))


@cache
def call_signature(target: str) -> Signature | None:
    """What calling the built object takes: a function's arguments, a class's `forward`; None if unknown."""
    module, node = definition(target)
    if isinstance(node, ast.FunctionDef):
        return signature(target)
    for name in ("forward", "__call__"):
        if isinstance(node, ast.ClassDef) and (method := _method(node, name)):
            return Signature(target, *_arguments(module, method.args, skip=1))
    return None


def definition(target: str) -> tuple[Module, Definition]:
    """Where `target` is defined, and by what."""
    module_name, qualname = locate(target)
    module = module_named(module_name)
    node = module.definitions.get(qualname)
    if node is None:
        raise SourceError(f"{target}: {module_name} defines no {qualname or 'such name'}")
    return module, node


def locate(target: str) -> tuple[str, str]:
    """(module, qualified name) of `target`: from the table, else the longest prefix that is a file."""
    if target in THIRD_PARTY:
        return THIRD_PARTY[target].removesuffix(".py").replace("/", "."), target.rpartition(".")[2]
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        if _file(".".join(parts[:cut])):
            return ".".join(parts[:cut]), ".".join(parts[cut:])
    raise SourceError(f"{target}: no such module")


@cache
def module_named(name: str) -> Module:
    """Parse the source file of the module `name`."""
    path = _file(name)
    if path is None:
        raise SourceError(f"{name}: its source file was not found")
    try:
        return Module(name, path)
    except SyntaxError as error:
        raise SourceError(f"{path}:{error.lineno}: {error.msg}") from None


def lookup(module: Module, name: str) -> tuple[Module, Definition] | None:
    """What defines `name` in `module`, following imports of its own package and of this one; None for all others."""
    if name in module.definitions:
        return module, module.definitions[name]
    source, original = module.imports.get(name, ("", ""))
    if source.split(".")[0] not in (module.name.split(".")[0], "multimodal_lab") or _file(source) is None:
        return None
    return lookup(module_named(source), original)


def is_bare(base: ast.expr) -> bool:
    """Whether a base class takes no arguments and states nothing: `nn.Module`, `Protocol`, …"""
    return ast.unparse(base).partition("[")[0].rpartition(".")[2] in {"Module", "object", "Protocol", "Generic", "ABC"}


def is_dataclass(node: ast.ClassDef) -> bool:
    """Whether the class is decorated with `@dataclass`."""
    return any("dataclass" in ast.unparse(d) for d in node.decorator_list)


def _file(name: str) -> Path | None:
    top, _, rest = name.partition(".")
    if top == "multimodal_lab":
        root: Path | None = PACKAGE
    else:
        spec = importlib.util.find_spec(top)  # of a top-level name: looks for it, imports nothing
        found = spec.submodule_search_locations if spec else None
        root = Path(next(iter(found))) if found else None
        if not rest and spec and spec.origin and not found:
            return Path(spec.origin)
    if root is None:
        return None
    base = root.joinpath(*rest.split(".")) if rest else root
    for path in (base.with_name(base.name + ".py"), base / "__init__.py"):
        if path.is_file() and (rest or path.name == "__init__.py"):
            return path
    return None


def _of_class(module: Module, node: ast.ClassDef) -> tuple[dict[str, Parameter], Parameter | None]:
    if init := _method(node, "__init__"):
        return _arguments(module, init.args, skip=1)
    parameters: dict[str, Parameter] = {}
    open_to: Parameter | None = None
    for base in node.bases:
        if is_bare(base):
            continue
        found = lookup(module, ast.unparse(base).partition("[")[0])
        if found and isinstance(found[1], ast.ClassDef):
            inherited, open_to = _of_class(found[0], found[1])
            parameters |= inherited
        else:
            open_to = Parameter("**", None, None, module)  # a base from elsewhere: its arguments are not known here
    if is_dataclass(node):
        parameters |= _fields(module, node)
    return parameters, open_to


def _fields(module: Module, node: ast.ClassDef) -> dict[str, Parameter]:
    fields = [s for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
    return {ast.unparse(s.target): Parameter(ast.unparse(s.target), s.annotation, s.value, module) for s in fields}


def _arguments(module: Module, args: ast.arguments, skip: int = 0) -> tuple[dict[str, Parameter], Parameter | None]:
    positional = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults))
    pairs = [*zip(positional, [*defaults, *args.defaults]), *zip(args.kwonlyargs, args.kw_defaults)]
    named = {a.arg: Parameter(a.arg, a.annotation, default, module) for a, default in pairs[skip:]}
    rest = Parameter("**", args.kwarg.annotation, None, module) if args.kwarg else None
    return named, rest


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == name), None)
