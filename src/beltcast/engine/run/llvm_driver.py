"""The driver: text of the machine function that runs members from start to end.

This module owns the order of events in a run: the constants and parameters, the initial state, then
at each step the inputs, the pasts, the rates, the saving and the move of the stocks (Euler, RK2 or
RK4).
The equations are other functions, none or more for each stage, that the driver calls by name.

One function runs blocks `first` to `last` from start to end.  Numbers come in an array of i64,
arrays in an array of pointers, so that the signature never changes;
`beltcast.engine.run.llvm_backend` fills both, in the order of `_NUMBERS` and `_POINTERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from beltcast.engine.program import Program
from beltcast.engine.run.llvm_text import Body, Vector, double
from beltcast.engine.run.plan import Method


def driver(method: Method, v: Vector, stages: Mapping[str, list[str]], program: Program) -> str:
    """Write ``run_<method>``: for each block its constants, its initial state, then its steps."""
    d = _Driver(Body(v), stages, program.n_rows, len(program.pasts) > 0)

    def block(q: str) -> None:
        d.first_member(q)
        d.set_constants()
        d.line("store i64 0, ptr %saved")
        d.set_inputs("input0", "0")
        for stage in ("setup", "initial", "settle"):
            d.calls(stage, "%start", "%start")
        d.loop("steps", "%n_times", lambda k: d.step(method, k))

    d.arguments()
    d.loop("block", "%last", block, start="%first")
    return d.function(f"run_{method}")


def resumable(
    method: Method, v: Vector, stages: Mapping[str, list[str]], program: Program
) -> list[str]:
    """Write three functions that run one block of members in parts.

    ``begin`` sets the constants, the parameters and the initial state.  ``advance`` takes the steps
    from one number up to another, given how many times were saved before.  ``renew`` sets the
    constants and parameters again in a state that ``advance`` left, and what depends on them alone:
    a caller that kept the rows of a step goes on from there with other parameters.
    """
    functions = []
    for name, first in (
        ("begin", ("setup", "initial", "settle")),
        ("renew", ("setup", "settle")),
    ):
        d = _Driver(Body(v), stages, program.n_rows, len(program.pasts) > 0)
        d.arguments()
        d.first_member(d.wide("%block"))
        d.set_constants()
        d.set_inputs("input0", "0")
        for stage in first:
            d.calls(stage, "%start", "%start")
        functions.append(d.function(name, "i32 %block"))
    d = _Driver(Body(v), stages, program.n_rows, len(program.pasts) > 0)
    d.arguments()
    d.first_member(d.wide("%block"))
    d.line(f"store i64 {d.wide('%saved.before')}, ptr %saved")
    start, end = d.wide("%from"), d.wide("%to")
    d.loop("steps", end, lambda k: d.step(method, k), start=start)
    given = ("i32 %block", "i32 %from", "i32 %to", "i32 %saved.before")
    return [*functions, d.function("advance", *given)]


_NUMBERS = (
    "n_constants",
    "n_parameters",
    "padded",
    "n_inputs",
    "n_steps",
    "n_outputs",
    "n_stocks",
    "n_pasts",
    "first",
    "last",
)
_POINTERS = (
    "constants",
    "constant_values",
    "parameters",
    "values",
    "input_rows",
    "inputs",
    "times",
    "lengths",
    "saves",
    "outputs",
    "out",
    "stocks",
    "flows",
    "past_rows",
    "past_inputs",
    "past_orders",
    "past_initials",
    "history",
    "callback",
)


@dataclass(frozen=True, eq=False)
class _Driver:
    """The pieces of a driver, each of which adds its lines to the body.

    Names of the text: ``%rows`` is the scratch table of one block, ``%member`` the number of the
    block's first member, ``%saved`` how many times were saved so far.  A member that is alone
    (``%padded`` is 1) has one number for each parameter and output, without a block's padding.
    """

    b: Body
    stages: Mapping[str, list[str]]
    n_rows: int
    has_pasts: bool

    def line(self, text: str) -> None:
        self.b.line(text)

    def function(self, name: str, *more: str) -> str:
        """Return all that was written as one function, with its arguments beyond the arrays."""
        given = ", ".join(("ptr %numbers", "ptr %arrays", "ptr noalias %rows", *more))
        lines = "\n".join(self.b.lines)
        return f"define void @{name}({given}) #0 {{\n{lines}\n  ret void\n}}"

    def wide(self, argument: str) -> str:
        """Return an i32 argument as i64."""
        return self.b.let(f"sext i32 {argument} to i64")

    def set_constants(self) -> None:
        """Set the constants, then the parameters of the members."""
        self.loop("constant", "%n_constants", self.set_constant)
        self.loop("parameter", "%n_parameters", self.set_parameter)

    def step(self, method: Method, k: str) -> None:
        """Take step k: inputs, pasts, rates, saving, then the move of the stocks."""
        move = {"euler": self.euler_step, "rk2": self.rk2_step, "rk4": self.rk4_step}[method]
        time = self.entry("%times", "double", k)
        self.line(f"%dt = load double, ptr {self.place('%lengths', 'double', k)}")
        self.set_inputs("input", k)
        if self.has_pasts:  # else code that never runs would take half the time to compile
            self.recall(k)
        self.rates(time, time)
        self.calls("hold", time, time)
        if self.has_pasts:
            self.remember(k)
        self.save_if_wanted(k)
        move(time)
        self.calls("after", time, time)

    def arguments(self) -> None:
        """Unpack the two arrays of arguments."""
        for i, name in enumerate(_NUMBERS):
            self.line(f"%{name}.at = getelementptr inbounds i64, ptr %numbers, i64 {i}")
            self.line(f"%{name} = load i64, ptr %{name}.at")
        for i, name in enumerate(_POINTERS):
            self.line(f"%{name}.at = getelementptr inbounds ptr, ptr %arrays, i64 {i}")
            self.line(f"%{name} = load ptr, ptr %{name}.at")
        self.line("%alone = icmp eq i64 %padded, 1")
        self.line("%start = load double, ptr %times")
        self.line("%n_times = add nsw i64 %n_steps, 1")
        self.line("%saved = alloca i64")

    def entry(self, array: str, kind: str, index: str) -> str:
        """Return an entry of an argument."""
        return self.b.let(f"load {kind}, ptr {self.place(array, kind, index)}")

    def place(self, array: str, kind: str, index: str) -> str:
        """Return the address of an entry of an argument."""
        return self.b.let(f"getelementptr inbounds {kind}, ptr {array}, i64 {index}")

    def row(self, number: str) -> str:
        """Return the address of a row."""
        return self.b.let(f"getelementptr inbounds {self.b.v.doubles}, ptr %rows, i64 {number}")

    def numbered(self, array: str, i: str) -> str:
        """Return the address of the row whose number stands in an argument."""
        return self.row(self.entry(array, "i64", i))

    def load(self, place: str) -> str:
        """Return the members of a row."""
        return self.b.let(f"load {self.b.v.doubles}, ptr {place}, align 64")

    def store(self, value: str, place: str) -> None:
        """Set the members of a row."""
        self.line(f"store {self.b.v.doubles} {value}, ptr {place}, align 64")

    def loop(self, name: str, count: str, write: Callable[[str], None], start: str = "0") -> None:
        """Write a loop from start to count; `write` is given the counter."""
        b = self.b
        b.line(f"br label %{name}.test0")
        b.label(f"{name}.test0")
        b.line(f"%{name}.any = icmp slt i64 {start}, {count}")
        b.line(f"br i1 %{name}.any, label %{name}, label %{name}.end")
        b.label(name)
        b.line(f"%{name}.i = phi i64 [ {start}, %{name}.test0 ], [ %{name}.next, %{name}.last ]")
        write(f"%{name}.i")
        b.line(f"br label %{name}.last")
        b.label(f"{name}.last")
        b.line(f"%{name}.next = add nsw i64 %{name}.i, 1")
        b.line(f"%{name}.more = icmp slt i64 %{name}.next, {count}")
        b.line(f"br i1 %{name}.more, label %{name}, label %{name}.end")
        b.label(f"{name}.end")

    def if_alone(self, name: str, yes: Callable[[], None], no: Callable[[], None]) -> None:
        """Write what one member does, and what a block of them does instead."""
        b = self.b
        b.line(f"br i1 %alone, label %{name}.one, label %{name}.block")
        for label, write in (("one", yes), ("block", no)):
            b.label(f"{name}.{label}")
            write()
            b.line(f"br label %{name}.done")
        b.label(f"{name}.done")

    def calls(self, stage: str, time: str, frozen: str) -> None:
        """Call the functions of a stage."""
        for function in self.stages[stage]:
            self.line(
                f"call void @{function}(ptr %rows, double {time}, double {frozen}, ptr %callback)"
            )

    def rates(self, time: str, frozen: str) -> None:
        """Compute the auxiliaries and the net flows."""
        self.calls("step", time, frozen)
        self.calls("rates", time, frozen)

    def first_member(self, q: str) -> None:
        self.line(f"%member = mul nsw i64 {q}, {self.b.v.width}")

    def set_constant(self, i: str) -> None:
        value = self.b.broadcast(self.entry("%constant_values", "double", i))
        self.store(value, self.numbered("%constants", i))

    def set_parameter(self, i: str) -> None:
        b = self.b
        at = b.let(f"add nsw i64 {b.let(f'mul nsw i64 {i}, %padded')}, %member")
        place = b.let(f"getelementptr inbounds double, ptr %values, i64 {at}")
        row = self.numbered("%parameters", i)
        self.if_alone(
            "given",
            lambda: self.store(b.broadcast(b.let(f"load double, ptr {place}")), row),
            lambda: self.store(b.let(f"load {b.v.doubles}, ptr {place}, align 8"), row),
        )

    def set_inputs(self, name: str, k: str) -> None:
        """Set the exogenous series to their values at step k."""
        base = self.b.let(f"mul nsw i64 {k}, %n_inputs")

        def one(i: str) -> None:
            at = self.b.let(f"add nsw i64 {base}, {i}")
            value = self.b.broadcast(self.entry("%inputs", "double", at))
            self.store(value, self.numbered("%input_rows", i))

        self.loop(name, "%n_inputs", one)

    def save_if_wanted(self, k: str) -> None:
        """Copy the outputs if step k is one to save."""
        b = self.b
        wanted = b.let(f"icmp ne i8 {self.entry('%saves', 'i8', k)}, 0")
        b.line(f"br i1 {wanted}, label %saving, label %moving")
        b.label("saving")
        saved = b.let("load i64, ptr %saved")
        base = b.let(f"mul nsw i64 {saved}, %n_outputs")

        def one(i: str) -> None:
            value = self.load(self.numbered("%outputs", i))
            line = b.let(f"mul nsw i64 {b.let(f'add nsw i64 {base}, {i}')}, %padded")
            at = b.let(f"add nsw i64 {line}, %member")
            place = b.let(f"getelementptr inbounds double, ptr %out, i64 {at}")
            only = b.let(f"extractelement {b.v.doubles} {value}, i64 0")
            self.if_alone(
                "saved",
                lambda: b.line(f"store double {only}, ptr {place}"),
                lambda: b.line(f"store {b.v.doubles} {value}, ptr {place}, align 8"),
            )

        self.loop("save", "%n_outputs", one)
        b.line(f"store i64 {b.let(f'add nsw i64 {saved}, 1')}, ptr %saved")
        b.line("br label %moving")
        b.label("moving")

    def euler_step(self, _time: str) -> None:
        b = self.b
        dt = b.broadcast("%dt")

        def one(i: str) -> None:
            flow = self.load(self.numbered("%flows", i))
            place = self.numbered("%stocks", i)
            self.store(b.fadd(self.load(place), b.fmul(dt, flow)), place)

        self.loop("euler", "%n_stocks", one)

    def place_in_history(self, i: str, k: str) -> str:
        """Return where the i-th past keeps step k."""
        b = self.b
        line = b.let(f"add nsw i64 {b.let(f'mul nsw i64 {i}, %n_times')}, {k}")
        at = b.let(f"mul nsw i64 {line}, {b.v.width}")
        return b.let(f"getelementptr inbounds double, ptr %history, i64 {at}")

    def lane_of(self, place: str, lane: str) -> str:
        """Return the address of one member of a vector."""
        return self.b.let(f"getelementptr inbounds double, ptr {place}, i64 {lane}")

    def recall(self, k: str) -> None:
        """Set the rows that repeat the past: lane by lane, for each may have its own order."""
        b = self.b
        over = b.let(f"sitofp i64 {b.let(f'add nsw i64 {k}, 1')} to double")

        def one(i: str) -> None:
            names = ("rows", "orders", "initials")
            places = {name: self.numbered(f"%past_{name}", i) for name in names}

            def lane(j: str) -> None:
                order = b.let(f"load double, ptr {self.lane_of(places['orders'], j)}")
                # A delay without end, or with an unknown length, never returns anything.
                within = b.let(f"fcmp olt double {order}, {over}")
                order = b.let(f"select i1 {within}, double {order}, double {over}")
                when = b.let(f"sub nsw i64 {k}, {b.let(f'fptosi double {order} to i64')}")
                before = b.let(f"icmp slt i64 {when}, 0")
                when = b.let(f"select i1 {before}, i64 0, i64 {when}")
                then = b.let(f"load double, ptr {self.lane_of(self.place_in_history(i, when), j)}")
                start = b.let(f"load double, ptr {self.lane_of(places['initials'], j)}")
                value = b.let(f"select i1 {before}, double {start}, double {then}")
                b.line(f"store double {value}, ptr {self.lane_of(places['rows'], j)}")

            self.loop("lane", str(b.v.width), lane)

        self.loop("recall", "%n_pasts", one)

    def remember(self, k: str) -> None:
        """Store what DELAY FIXED will return."""

        def one(i: str) -> None:
            value = self.load(self.numbered("%past_inputs", i))
            place = self.place_in_history(i, k)
            self.line(f"store {self.b.v.doubles} {value}, ptr {place}, align 8")

        self.loop("remember", "%n_pasts", one)

    def rk2_step(self, time: str) -> None:
        """Heun's method: the mean of the flows at both ends of an Euler step."""
        b = self.b
        end = b.let(f"fadd double {time}, %dt")
        half = b.let(f"fmul double %dt, {double(0.5)}")
        self.rk_first("%dt")
        self.rates(end, time)
        self.rk_last(half)

    def rk4_step(self, time: str) -> None:
        """Classic fourth order.

        Stocks at the start of the step, and the weighted flows, are kept in rows after those of
        the program.
        """
        b = self.b
        half = b.let(f"fmul double %dt, {double(0.5)}")
        middle = b.let(f"fadd double {time}, {half}")
        end = b.let(f"fadd double {time}, %dt")
        sixth = b.let(f"fdiv double %dt, {double(6.0)}")
        self.rk_first(half)
        self.rates(middle, time)
        self.rk_middle("rk.two", half)
        self.rates(middle, time)
        self.rk_middle("rk.three", "%dt")
        self.rates(end, time)
        self.rk_last(sixth)

    def rk_kept(self, i: str, which: int) -> str:
        """Return the address of a stock at the start (0), or of its weighted flows (1)."""
        b = self.b
        offset = b.let(f"mul nsw i64 %n_stocks, {which}")
        return self.row(b.let(f"add nsw i64 {b.let(f'add nsw i64 {offset}, {i}')}, {self.n_rows}"))

    def rk_first(self, fraction: str) -> None:
        """Keep the state and its flow, and go on by a fraction of the step."""
        b, part = self.b, self.b.broadcast(fraction)

        def one(i: str) -> None:
            flow = self.load(self.numbered("%flows", i))
            place = self.numbered("%stocks", i)
            stock = self.load(place)
            self.store(stock, self.rk_kept(i, 0))
            self.store(flow, self.rk_kept(i, 1))
            self.store(b.fadd(stock, b.fmul(part, flow)), place)

        self.loop("rk.one", "%n_stocks", one)

    def rk_middle(self, name: str, fraction: str) -> None:
        """Add twice the flow to the sum, and go on from the start by a fraction of the step."""
        b, part = self.b, self.b.broadcast(fraction)

        def one(i: str) -> None:
            flow = self.load(self.numbered("%flows", i))
            total = self.rk_kept(i, 1)
            self.store(b.fadd(self.load(total), b.fmul(b.splat(2.0), flow)), total)
            stock = self.load(self.rk_kept(i, 0))
            self.store(b.fadd(stock, b.fmul(part, flow)), self.numbered("%stocks", i))

        self.loop(name, "%n_stocks", one)

    def rk_last(self, sixth: str) -> None:
        """Move the stocks from the start by the weighted flows."""
        b, part = self.b, self.b.broadcast(sixth)

        def one(i: str) -> None:
            flow = self.load(self.numbered("%flows", i))
            total = b.fadd(self.load(self.rk_kept(i, 1)), flow)
            stock = self.load(self.rk_kept(i, 0))
            self.store(b.fadd(stock, b.fmul(part, total)), self.numbered("%stocks", i))

        self.loop("rk.end", "%n_stocks", one)
