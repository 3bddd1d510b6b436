"""Translates the PTX of a kernel to C++, one statement an instruction; `machine.hpp` runs it.

Registers are local variables. An instruction, modifier or directive that this module does not know is refused.
PTX ISA: https://docs.nvidia.com/cuda/parallel-thread-execution
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

#: C++ types and their bytes by PTX type.
_TYPES = {"pred": ("u8", 1), "b8": ("u8", 1), "u8": ("u8", 1), "s8": ("s8", 1), "b16": ("u16", 2), "u16": ("u16", 2),
          "s16": ("s16", 2), "b32": ("u32", 4), "u32": ("u32", 4), "s32": ("s32", 4), "f32": ("f32", 4),
          "b64": ("u64", 8), "u64": ("u64", 8), "s64": ("s64", 8), "f64": ("f64", 8)}
_TYPEDEFS = """\
typedef unsigned char u8; typedef signed char s8; typedef unsigned short u16; typedef short s16; typedef unsigned u32;
typedef int s32; typedef unsigned long long u64; typedef long long s64; typedef float f32; typedef double f64;
"""
_SPECIAL = {"%tid.x": "(u32)thread.number", "%ctaid.x": "(u32)block_x", "%ctaid.y": "(u32)block_y"}
_BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%", "and": "&", "or": "|", "xor": "^"}
_ORDERED = {"eq": "==", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
_INVERSE = {"lt": ">=", "le": ">", "gt": "<=", "ge": "<"}
_TO_WHOLE = {"rni": "std::nearbyint", "rmi": "std::floor", "rpi": "std::ceil", "rzi": "std::trunc"}
#: Modifiers that the translation respects; others, such as .sat or .rz, change a result.
_MODIFIERS = {"rn", "ftz", "approx", "lo", "wide", "uni", "sync", "ballot", "red", "or", "pred", "global", "shared",
              "param", "const", "nc", "to", "v2", "v4", "ne", "num", "nan", *_ORDERED, *_TO_WHOLE, *_TYPES,
              *(f"{name}u" for name in ("eq", "ne", *_INVERSE))}
#: Bytes between shared variables, so that an index beyond one is seen.
_GAP = 16

_ENTRY = re.compile(r"\.visible \.entry (?P<name>\w+)\((?P<parameters>.*?)\)(?P<limits>.*?)\n\{\n(?P<body>.*?)\n\}",
                    re.DOTALL)
_PARAMETER = re.compile(r"\.param (?:\.align \d+ )?\.(?P<type>\w+) (?P<name>\w+)(?:\[(?P<count>\d+)\])?")
_CONSTANT = re.compile(r"\.const \.align (?P<align>\d+) \.b8 (?P<name>[\w$]+)\[(?P<count>\d+)\] = "
                       r"(?P<bytes>\{[^}]*\});")
_REGISTERS = re.compile(r"\.reg \.(?P<type>\w+)\s+%(?P<name>\w+?)(?:<(?P<count>\d+)>)?;")
_SHARED = re.compile(r"\.shared \.align (?P<align>\d+) \.(?P<type>\w+) (?P<name>[\w$]+)(?:\[(?P<count>\d+)\])?;")
_INSTRUCTION = re.compile(r"(?:@(?P<negated>!?)%(?P<guard>\w+)\s+)?(?P<name>[a-z][\w.]*)(?:\s+(?P<operands>.*?))?;")
_OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+")


class UnknownPtxError(ValueError):
    """PTX that the translation does not know."""


@dataclass
class Translation:
    """The C++ text of an entry point, and what a launch needs to know of it.

    Attributes
    ----------
    text
        Includes `machine.hpp`; exports ``launch``.
    block
        Number of threads of a block.
    parameters
        Bytes of each parameter.
    """

    text: str
    block: int
    parameters: tuple[int, ...]


def translate(ptx: str, entry: str) -> Translation:
    """Return the translation of an entry point of a PTX module."""
    found = next((found for found in _ENTRY.finditer(ptx) if found["name"] == entry), None)
    block = re.search(r"\.maxntid (\d+)", found["limits"]) if found else None
    if found is None or block is None:
        raise UnknownPtxError(f"no entry {entry} with a number of threads")
    parameters = {each["name"]: _TYPES[each["type"]][1] * int(each["count"] or 1)
                  for each in _PARAMETER.finditer(found["parameters"])}
    constants = list(_CONSTANT.finditer(ptx[:found.start()]))
    body = _Body(parameters, [each["name"] for each in constants])
    first = ptx.count("\n", 0, found.start("body")) + 1
    for number, line in enumerate(found["body"].split("\n"), start=first):
        body.add(number, line.split("//")[0].strip())
    tables = {"VARIABLES": [*body.shared.values(), (0, 0)],
              "CONSTANTS": [*((f"(u64){each['name']}", each["count"]) for each in constants), (0, 0)],
              "PARAMETERS": list(enumerate(parameters.values()))}
    text = "\n".join([
        _TYPEDEFS, *(f"alignas({each['align']}) static const u8 {each['name']}[{each['count']}] = {each['bytes']};"
                     for each in constants),
        f"enum {{ BLOCK = {block[1]}, SHARED_BYTES = {body.shared_bytes + _GAP} }};",
        *(f"static const u64 {name}[][2] = {{{', '.join(f'{{{first}, {size}}}' for first, size in rows)}}};"
          for name, rows in tables.items()),
        Path(__file__).with_name("machine.hpp").read_text(),
        "static void kernel(Thread &thread)", "{", *body.lines, "}"])
    return Translation(text + "\n", int(block[1]), tuple(parameters.values()))


@dataclass
class _Body:
    """Statements of an entry point.

    Attributes
    ----------
    shared
        Offset and bytes of shared variables.
    """

    parameters: dict[str, int]
    constants: list[str]
    lines: list[str] = field(default_factory=list)
    shared: dict[str, tuple[int, int]] = field(default_factory=dict)
    shared_bytes: int = 0

    def add(self, number: int, line: str) -> None:
        """Translate a line."""
        if not line or line.startswith(".pragma"):
            return
        if line in "{}":
            self.lines.append(line)
        elif found := _REGISTERS.fullmatch(line):
            kind = _TYPES[found["type"]][0]
            names = [f"_{found['name']}{i}" for i in ([""] if found["count"] is None else range(int(found["count"])))]
            self.lines += [f"{kind} {name}; {name} = poison<{kind}>();" for name in names]
        elif found := _SHARED.fullmatch(line):
            align, size = int(found["align"]), _TYPES[found["type"]][1] * int(found["count"] or 1)
            offset = -(-(self.shared_bytes + _GAP) // align) * align
            self.shared[found["name"]] = (offset, size)
            self.shared_bytes = offset + size
        elif found := re.fullmatch(r"(\$\w+):", line):
            self.lines.append(f"{_label(found[1])}: ;")
        elif found := _INSTRUCTION.fullmatch(line):
            operands = _OPERAND.findall(found["operands"] or "")
            statement = self._statement(number, line, found["name"].split("."), operands)
            guard = f"if ({found['negated']}_{found['guard']}) " if found["guard"] else ""
            self.lines.append(f"{guard}{{ {statement} }} // {line}")
        else:
            raise UnknownPtxError(line)

    def _statement(self, number: int, line: str, name: list[str], operands: list[str]) -> str:
        """Return the statement of an instruction."""
        if unknown := set(name[1:]) - _MODIFIERS - {str(digit) for digit in range(10)}:
            raise UnknownPtxError(f"{', '.join(unknown)} in {line}")
        kind = name[0]
        if kind == "bra":
            return f"goto {_label(operands[0])};"
        if kind in ("ret", "exit"):
            return "return;"
        if kind in ("ld", "st"):
            return self._access(number, name, operands)
        if kind in ("red", "atom") and name[1:] == ["global", "or", "b32"]:
            address, value = operands[-2:]
            at = f"atomic(as<u64>({self._value(address.strip('[]'))}), {number})"
            return f"set_at<u32>({at}, value_at<u32>({at}) | as<u32>({self._value(value)}));"
        if name == ["mov", "b64"] and operands[0].startswith("{"):
            low, high = _OPERAND.findall(operands[0].strip("{}"))
            return " ".join([f"const u64 both = as<u64>({self._value(operands[1])});", _assigned(low, "(u32)both"),
                             _assigned(high, "(u32)(both >> 32)")])
        if name == ["bar", "sync"] and operands == ["0"]:
            return f"wait(thread, AT_BARRIER, 0, {number});"
        if kind == "bar" and name[1:] == ["red", "or", "pred"] and operands[1] == "0":
            return _assigned(operands[0], f"wait(thread, AT_BARRIER, {self._value(operands[2])}, {number}) != 0")
        if kind == "vote" and name[1:] == ["sync", "ballot", "b32"]:
            yes, mask = map(self._value, operands[1:])
            return _assigned(operands[0], f"ballot(thread, {yes}, (u32){mask}, {number})")
        return _assigned(operands[0], self._expression(line, name, operands[1:]))

    def _access(self, number: int, name: list[str], operands: list[str]) -> str:
        """Return the statement of a load or store."""
        place, kind = name[1], _TYPES[name[-1]]
        address, values = operands if name[0] == "st" else operands[::-1]
        registers = _OPERAND.findall(values.strip("{}"))
        size = kind[1] * len(registers)
        base, offset = re.fullmatch(r"\[([^+]+?)(?:\+(-?\d+))?\]", address).groups(default="0")
        if place == "param":
            at = f"parameter(as<u64>({self._value(base)}) + {offset}, {size}, {number})"
        else:
            function = {"shared": "shared", "global": "global", "const": "global"}[place]
            access = "STORE" if name[0] == "st" else "LOAD"
            width = "u32" if place == "shared" else "u64"
            at = f"{function}(thread, as<{width}>(as<u64>({self._value(base)}) + {offset}), {size}, {access}, {number})"
        if name[0] == "st":
            parts = [f"set_at<{kind[0]}>(at + {i * kind[1]}, as<{kind[0]}>({self._value(register)}));"
                     for i, register in enumerate(registers)]
            return " ".join([f"u8 *at = {at};", *parts])
        parts = [_assigned(register, f"value_at<{kind[0]}>(at + {i * kind[1]})")
                 for i, register in enumerate(registers)]
        return " ".join([f"const u8 *at = {at};", *parts])

    def _value(self, operand: str) -> str:
        """Return the C++ text of an operand."""
        if operand in _SPECIAL:
            return _SPECIAL[operand]
        if operand.startswith("%"):
            return f"_{operand[1:]}"
        if operand.startswith("0f"):
            return f"as<f32>(0x{operand[2:]}u)"
        if operand.startswith("0d"):
            return f"as<f64>(0x{operand[2:]}ull)"
        if operand in self.shared:
            return f"{self.shared[operand][0]}ull"
        if operand in self.parameters:
            return f"(u64)arguments[{list(self.parameters).index(operand)}]"
        if operand in self.constants:
            return f"(u64){operand}"
        return f"({int(operand)}{'ll' if int(operand) < 2**63 else 'ull'})"

    def _expression(self, line: str, name: list[str], operands: list[str]) -> str:
        """Return the value of an arithmetic instruction, of the type of the instruction."""
        kind, last = name[0], name[-1]
        ftz, exact = "ftz" in name, "rn" in name
        is_float = last in ("f32", "f64")

        def x(place: int, of: str = last) -> str:
            text = f"as<{_TYPES[of][0]}>({self._value(operands[place])})"
            return f"flushed({text})" if ftz and of == "f32" else text

        def flush(text: str) -> str:
            return f"flushed({text})" if ftz and last == "f32" else text

        if kind in ("mov", "cvta"):
            return x(0)
        if kind == "selp":
            return f"{self._value(operands[2])} ? {x(0)} : {x(1)}"
        if kind == "setp":
            return _comparison(line, name, is_float, x)
        if kind == "cvt":
            return self._conversion(line, name, x)
        if is_float:
            text = _float_expression(".".join(name), kind, exact, x)
        else:
            text = _integer_expression(name, x, lambda place: x(place, _unsigned(last)), lambda place: x(place, "u32"))
        if text is None:
            raise UnknownPtxError(line)
        return flush(text)

    @staticmethod
    def _conversion(line: str, name: list[str], x: Callable[..., str]) -> str:
        to, source = name[-2:]
        value = x(0, source)
        rounding = next((_TO_WHOLE[part] for part in name if part in _TO_WHOLE), None)
        if source in ("f32", "f64"):
            if rounding:
                value = f"{rounding}({value})"
            if to not in ("f32", "f64"):
                if rounding is None:
                    raise UnknownPtxError(line)
                return f"to_integer<{_TYPES[to][0]}>({value})"
            if to == "f32" and source == "f64" and not (rounding or "rn" in name):
                raise UnknownPtxError(line)
        text = f"({_TYPES[to][0]}){value}"
        return f"flushed({text})" if "ftz" in name and to == "f32" else text


def _assigned(register: str, text: str) -> str:
    name = f"_{register.removeprefix('%')}"
    return f"{{ const auto value = {text}; {name} = as<decltype({name})>(value); }}"


def _label(name: str) -> str:
    return name.replace("$", "")


def _unsigned(name: str) -> str:
    return f"u{_TYPES[name][1] * 8}"


def _comparison(line: str, name: list[str], is_float: bool, x: Callable[..., str]) -> str:
    """Return the condition of setp.condition.type."""
    a, b, how = x(0), x(1), name[1]
    if set(name[2:]) - {"ftz", name[-1]}:
        raise UnknownPtxError(line)
    if how in _ORDERED:
        return f"(u8)({a} {_ORDERED[how]} {b})"
    if how == "ne":
        return f"(u8)({a} < {b} || {a} > {b})" if is_float else f"(u8)({a} != {b})"
    if how == "neu":
        return f"(u8)({a} != {b})"
    if how == "equ":
        return f"(u8)!({a} < {b} || {a} > {b})"
    if how in ("num", "nan"):
        return f"(u8)({'!' * (how == 'num')}({a} != {a} || {b} != {b}))"
    return f"(u8)!({a} {_INVERSE[how.removesuffix('u')]} {b})"


def _float_expression(whole: str, kind: str, exact: bool, x: Callable[..., str]) -> str | None:
    """Return the value of an instruction on floats, or ``None``; only those that round to nearest are exact."""
    if whole == "div.approx.ftz.f32":
        return f"quotient({x(0)}, {x(1)})"
    if whole in ("rsqrt.approx.ftz.f32", "ex2.approx.ftz.f32"):
        return f"{'inverse_root' if kind == 'rsqrt' else 'power_of_two'}({x(0)})"
    if whole == "rcp.approx.ftz.f64":
        return f"reciprocal({x(0)})"
    if kind in ("add", "sub", "mul", "div") and exact:
        return f"{x(0)} {_BINARY[kind]} {x(1)}"
    if kind == "fma" and exact:
        return f"std::fma({x(0)}, {x(1)}, {x(2)})"
    if kind == "sqrt" and exact:
        return f"std::sqrt({x(0)})"
    if kind == "rcp" and exact:
        return f"1 / {x(0)}"
    return {"neg": lambda: f"-{x(0)}", "abs": lambda: f"std::fabs({x(0)})", "min": lambda: f"std::fmin({x(0)}, {x(1)})",
            "max": lambda: f"std::fmax({x(0)}, {x(1)})"}.get(kind, lambda: None)()


def _integer_expression(name: list[str], x: Callable[[int], str], unsigned: Callable[[int], str],
                        count: Callable[[int], str]) -> str | None:
    """Return the value of an instruction on integers, or ``None``; overflow wraps around, in unsigned arithmetic."""
    kind, last = name[0], _TYPES[name[-1]][0]
    wide = f"{last[0]}64"
    if kind == "not":
        return f"!{x(0)}" if name[-1] == "pred" else f"~{x(0)}"
    if kind == "mul" and "wide" in name:
        return f"({wide}){x(0)} * ({wide}){x(1)}"
    if kind in ("mul", "mad") and "lo" in name:
        return f"{unsigned(0)} * {unsigned(1)}" + (f" + {unsigned(2)}" if kind == "mad" else "")
    if kind in ("add", "sub"):
        return f"{unsigned(0)} {_BINARY[kind]} {unsigned(1)}"
    if kind in ("and", "or", "xor", "div", "rem"):
        return f"{x(0)} {_BINARY[kind]} {x(1)}"
    if kind == "neg":
        return f"0 - {unsigned(0)}"
    if kind in ("min", "max"):
        return f"{x(0)} {'<' if kind == 'min' else '>'} {x(1)} ? {x(0)} : {x(1)}"
    if kind in ("shl", "shr"):
        return f"shift_{'left' if kind == 'shl' else 'right'}<{last}>({x(0)}, {count(1)})"
    return f"(u32)__builtin_popcount({count(0)})" if name == ["popc", "b32"] else None
