"""Long tables in machine code: the functions that find a place by halves, for each lane by itself.

A lookup of few points is a chain of selections, printed where it is called
(`beltcast.engine.run.llvm_expressions`); these are called for one of many points.
"""

from __future__ import annotations

from beltcast.engine.run.llvm_text import Vector


def table_search(v: Vector) -> list[str]:
    """Return the functions that find a place in a table and compute the value there.

    ``vplace`` gives for each lane the last point at or before it, the first where there is none:
    each round takes half as many points as the one before.
    """
    d, n, w = v.doubles, v.integers, v.width
    pointers = f"<{w} x ptr>"

    def gathered(table: str, places: str, name: str) -> str:
        return (
            f"  %{name}.at = getelementptr inbounds double, ptr {table}, {n} {places}\n"
            f"  %{name} = call {d} @llvm.masked.gather.v{w}f64.v{w}p0({pointers} %{name}.at, "
            f"i32 8, {v.truths} splat (i1 true), {d} zeroinitializer)"
        )

    reads = "noinline nounwind willreturn memory(argmem: read)"
    arguments = f"{d} %x, ptr %knots, ptr %heights, ptr %slopes, i64 %count"
    splats = "\n".join(
        f"  %{name}.one = insertelement {n} poison, i64 %{name}, i64 0\n"
        f"  %{name}.all = shufflevector {n} %{name}.one, {n} poison, <{w} x i32> zeroinitializer"
        for name in ("last",)
    )
    place = f"""define internal {n} @vplace({d} %x, ptr %knots, i64 %count) {reads} #0 {{
entry:
  %last = sub i64 %count, 1
{splats}
  %zeros = call i64 @llvm.ctlz.i64(i64 %last, i1 false)
  %shift = sub i64 63, %zeros
  %first = shl i64 1, %shift
  br label %round
round:
  %step = phi i64 [ %first, %entry ], [ %half, %round ]
  %low = phi {n} [ zeroinitializer, %entry ], [ %next, %round ]
  %step.one = insertelement {n} poison, i64 %step, i64 0
  %step.all = shufflevector {n} %step.one, {n} poison, <{w} x i32> zeroinitializer
  %high = add {n} %low, %step.all
  %inside = icmp ule {n} %high, %last.all
  %probe = select {v.truths} %inside, {n} %high, {n} %last.all
{gathered("%knots", "%probe", "knot")}
  %reached = fcmp oge {d} %x, %knot
  %taken = and {v.truths} %inside, %reached
  %next = select {v.truths} %taken, {n} %high, {n} %low
  %half = lshr i64 %step, 1
  %more = icmp ne i64 %half, 0
  br i1 %more, label %round, label %done
done:
  ret {n} %next
}}"""
    line = f"""define internal {d} @vline({arguments}) {reads} #0 {{
  %found = call {n} @vplace({d} %x, ptr %knots, i64 %count)
  %last = sub i64 %count, 2
{splats}
  %low = icmp ult {n} %found, %last.all
  %place = select {v.truths} %low, {n} %found, {n} %last.all
{gathered("%knots", "%place", "knot")}
{gathered("%heights", "%place", "height")}
{gathered("%slopes", "%place", "slope")}
  %since = fsub {d} %x, %knot
  %rise = fmul {d} %slope, %since
  %value = fadd {d} %height, %rise
  ret {d} %value
}}"""
    held = f"""define internal {d} @vheld({arguments}) {reads} #0 {{
  %place = call {n} @vplace({d} %x, ptr %knots, i64 %count)
{gathered("%heights", "%place", "height")}
  %missing = fcmp uno {d} %x, %x
  %value = select {v.truths} %missing, {d} %x, {d} %height
  ret {d} %value
}}"""
    return [
        f"declare {d} @llvm.masked.gather.v{w}f64.v{w}p0({pointers}, i32, {v.truths}, {d})",
        "declare i64 @llvm.ctlz.i64(i64, i1)",
        place,
        line,
        held,
    ]
