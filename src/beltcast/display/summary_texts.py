"""Texts of summaries and of the commands check and calibrate, in English and in Chinese.

`beltcast.display.translations` joins them with the texts of page, charts and reports.
"""

from __future__ import annotations

from collections.abc import Mapping

SUMMARY: Mapping[str, tuple[str, str]] = {
    "based on": (
        "Based on {rows} published observations and {priors} priors. {starts} starts; {agreeing} "
        "of {refined} refined ones reached the best optimum.",
        "依据 {rows} 条公布数据和 {priors} 个先验。共 {starts} 个起点；{refined} 个经细化的起点中"
        "有 {agreeing} 个到达最优解。",
    ),
    "verdicts": (
        "{prior} of {all} parameters are mostly prior, {both} data and prior, {data} mostly data. "
        "{draws} draws, acceptance {acceptance:.2f}, correlation with their Laplace starts "
        "{correlation:.2f}.",
        "{all} 个参数中 {prior} 个主要来自先验，{both} 个数据与先验兼有，{data} 个主要来自数据。"
        "{draws} 个样本，接受率 {acceptance:.2f}，与拉普拉斯近似起点的相关系数 {correlation:.2f}。",
    ),
    "effective": (
        "Every number below rests on at least {least:.0f} effective draws ({which}).",
        "下列每个数字至少依据 {least:.0f} 个有效样本（{which}）。",
    ),
    "warn effective": (
        "Warning: {few} of {all} numbers below rest on fewer than {enough:.0f} effective draws, "
        "{which} on {least:.0f}; use more --draws, or the longer chains of 'beltcast sample'.",
        "警告：下列 {all} 个数字中有 {few} 个依据的有效样本少于 {enough:.0f} 个，其中 {which} 仅 "
        "{least:.0f} 个；请增加 --draws，或用 'beltcast sample' 的长链。",
    ),
    "warn single start": (
        "Warning: only one start reached the best optimum; use more with --starts.",
        "警告：仅有一个起点到达最优解；请用 --starts 增加起点。",
    ),
    "warn failed": (
        "Warning: {failed} runs produced NaN or infinity and are excluded.",
        "警告：{failed} 次运行产生非数值或无穷大，已剔除。",
    ),
    "warn bound": (
        "Warning: at a bound of their priors: {names}.",
        "警告：达到先验边界：{names}。",
    ),
    "warning": ("Warning: {what}", "警告：{what}"),
    "examples": (
        "{count} of {all} observations are examples of a template (their source begins with "
        "EXAMPLE), so the results describe no real place. Replace them.",
        "{all} 条数据中有 {count} 条是模板示例（来源以 EXAMPLE 开头），结果不代表任何真实地区，"
        "请替换。",
    ),
    "places": (
        "{what}, {unit}, scenario '{scenario}': median (80% band);\nobs.: observations of the "
        "place itself; ratio: log width of the band relative to that of the priors alone",
        "{what}，单位：{unit}，情景：{scenario}：中位数（80% 区间）；\n条数：该地自身的公布数据；"
        "比值：区间对数宽度与仅凭先验时之比",
    ),
    "obs.": ("obs.", "条数"),
    "scenarios": (
        "Scenarios: {whole} relative to the first scenario, draw by draw: median (80% band), and "
        "chance\nof more in {year}, next to the chance under the priors alone (± Monte Carlo "
        "standard error)",
        "情景：{whole}与首个情景相比（逐样本比较）：中位数（80% 区间），\n"
        "以及 {year} 年更高的概率和仅凭先验时的概率（± 蒙特卡洛标准误）",
    ),
    "narrowed most": (
        "Parameters that all places share, the most narrowed first: prior median and optimum, each "
        "with its\n80% band (the posterior's by Laplace's approximation); all are in "
        "calibration.csv",
        "各地共用的参数，按收窄程度排列：先验中位数与最优值及各自的 80% 区间\n"
        "（后验为拉普拉斯近似）；全部参数见 calibration.csv",
    ),
    "losses": (
        "Losses of {loss:.0f}% relative to '{first}', {place}: share of the draws that reach it, "
        "median year\n(80% band), and share of those draws that recover by {last} (± Monte Carlo "
        "standard error)",
        "与“{first}”相比损失 {loss:.0f}%（{place}）：出现损失的样本比例、\n"
        "出现年份的中位数（80% 区间），以及其中到 {last} 年恢复的比例（± 蒙特卡洛标准误）",
    ),
    "chance": ("chance", "概率"),
    "never": ("none", "无"),
    "recover": ("recover", "恢复"),
    "as known": (
        "As known on {date:g}: {rows} observations published by then.",
        "截至 {date:g}：当时已公布 {rows} 条数据。",
    ),
    "wrote": ("Wrote {path}", "已写入 {path}"),
    "cost": ("cost {cost:.2f}", "代价 {cost:.2f}"),
    "searched": (
        "{refined} of {starts} starts were refined and ended in {found}; {agreeing} reached the "
        "best.",
        "{starts} 个起点中细化了 {refined} 个，到达 {found}；其中 {agreeing} 个到达最优解。",
    ),
    "one optimum": ("1 optimum", "1 个局部最优解"),
    "optima": ("{count} different optima", "{count} 个不同的局部最优解"),
    "cut short": (
        "{count} were cut short, or ended where the model fails, and count for no optimum.",
        "其中 {count} 个未收敛或止于模型无法运行之处，不计为最优解。",
    ),
    "optima unknown": (
        "These are too few starts to estimate how many other optima there are.",
        "起点过少，无法估计还有多少其他局部最优解。",
    ),
    "optima missed": (
        "On average {missed:.1f} optima are still not found (Boender and Rinnooy Kan 1987): use "
        "more --starts and --refine.",
        "平均还有 {missed:.1f} 个局部最优解未找到（Boender 与 Rinnooy Kan 1987）：请增加 --starts "
        "与 --refine。",
    ),
    "optima found": (
        "On average {missed:.1f} optima are not found within the middle 90% of each prior; nothing "
        "was searched outside.",
        "在各先验的中间 90% 范围内，平均有 {missed:.1f} 个局部最优解未找到；范围之外未搜索。",
    ),
    "other optima": (
        "{count} other optima, higher in cost by {rises}: see optima.csv",
        "另有 {count} 个局部最优解，代价高出 {rises}：见 optima.csv",
    ),
    "at bound": ("at a bound of its prior: {names}", "达到先验边界：{names}"),
    "pooled places": (
        "Places around a common mean: estimates from their own observations, and pooled",
        "围绕共同均值的各地：仅依据自身数据的估计，以及合并估计",
    ),
    "own": ("own", "自身"),
    "pooled": ("pooled", "合并"),
    "borrowed": ("borrowed", "借用"),
    "read": (
        "{rows} published observations, {priors} priors, {scenarios} scenarios: read",
        "已读取：{rows} 条公布数据、{priors} 个先验、{scenarios} 个情景",
    ),
    "doubt": ("doubt: {path}: {sentence}", "存疑：{path}：{sentence}"),
    "doubt line": ("line {line}: {sentence}", "第 {line} 行：{sentence}"),
    "doubt size": (
        "{times:.2g} times its neighbours; is the unit {unit}?",
        "为相邻数据的 {times:.2g} 倍；单位确为 {unit} 吗？",
    ),
    "doubt prior": (
        "{times:.2g} times what the priors expect (80% {low} to {high}, in the model's unit); is "
        "the unit {unit}?",
        "为先验预期的 {times:.2g} 倍（80% 区间 {low} 至 {high}，按模型单位）；单位确为 {unit} 吗？",
    ),
    "doubt part": (
        "{times:.2g} times {whole} (line {line}), of which it is a part; is the unit {unit}?",
        "为所属的{whole}（第 {line} 行）的 {times:.2g} 倍；单位确为 {unit} 吗？",
    ),
    "doubt step": (
        "{times:.2g} times what the growth in line {line} makes of line {before}; is the unit "
        "{unit}?",
        "为第 {before} 行按第 {line} 行增速推算值的 {times:.2g} 倍；单位确为 {unit} 吗？",
    ),
    "doubt growths": (
        "growth of {percent:.3g} %, and the other rates of its series are about {around:.2g} % a "
        "year; is it {meant:.3g} %?",
        "增速为 {percent:.3g}%，而同一序列的其他增速约为 {around:.2g}%；是否应为 {meant:.3g}%？",
    ),
    "prior predictive": (
        "Prior predictive check, {draws} draws: of {rows} published numbers {half} lie in the "
        "middle half and {band} in the 80% band",
        "先验预测检验（{draws} 个样本）：{rows} 条公布数据中，{half} 条位于中间一半，"
        "{band} 条位于 80% 区间",
    ),
    "doubt growth": (
        "growth of {percent:.3g} %, and the levels around it change by {around:.2g} % a year; is "
        "it {meant:.3g} %?",
        "增速为 {percent:.3g}%，而相邻水平每年变化 {around:.2g}%；是否应为 {meant:.3g}%？",
    ),
    "doubt start": (
        "the period starts at {time:.10g}, within a month; is it {near:.8g}, the end of a month?",
        "时段始于 {time:.10g}，在月中；是否应为月末 {near:.8g}？",
    ),
    "doubt end": (
        "the period ends at {time:.10g}, within a month; is it {near:.8g}, the end of a month?",
        "时段止于 {time:.10g}，在月中；是否应为月末 {near:.8g}？",
    ),
    "counts": (
        "{variables} variables, {stocks} stocks, read as {encoding}: runs with its own constants",
        "{variables} 个变量，{stocks} 个存量，编码 {encoding}：可用自身常数运行",
    ),
    "step computed": (
        "the model computes its time step, so it was not halved",
        "时间步长由模型计算，未作减半检验",
    ),
    "step halved": (
        "halving TIME STEP ({step:g}) changes a stock by at most {percent:.2g}% ('{stock}')",
        "时间步长（{step:g}）减半使存量最多变化 {percent:.2g}%（“{stock}”）",
    ),
    "step stock": ("  '{stock}' by {percent:.2g}%", "  “{stock}”变化 {percent:.2g}%"),
    "negative stock": (
        "stock '{stock}' is {value:.4g} at time {time:g}",
        "存量“{stock}”在 {time:g} 时为 {value:.4g}",
    ),
    "no negative stock": ("no stock goes negative", "没有存量变为负值"),
    "extremes": (
        "{tried} runs with a constant at 0, a tenth or ten times its value: {found} with something "
        "to look at",
        "将常数设为 0、十分之一或十倍，共运行 {tried} 次：{found} 次需要核查",
    ),
    "extremes left": (
        "  {left} more were not made; allow them more time with --seconds",
        "  另有 {left} 次未运行；可用 --seconds 延长时间",
    ),
    "without equation": (
        "'{element}' has no equation; nothing reads it, and its result is missing",
        "“{element}”没有方程；没有变量读取它，其结果缺失",
    ),
    "extreme fault": (
        "'{variable}' is {value:.4g} at time {time:g}",
        "“{variable}”在 {time:g} 时为 {value:.4g}",
    ),
    "more faults": ("{count} more", "另有 {count} 处"),
    "extreme": ("  '{constant}' {change}: {faults}", "  “{constant}” {change}：{faults}"),
    "and more": ("  and {count} more", "  另有 {count} 项"),
    "no loop": ("no feedback loop", "没有反馈回路"),
    "one loop": ("feedback among {variables}: 1 loop", "{variables}之间的反馈：1 个回路"),
    "loops": ("feedback among {variables}: {count} loops", "{variables}之间的反馈：{count} 个回路"),
    "too many loops": (
        "feedback among {variables}: too many loops to list; the {count} independent shortest ones",
        "{variables}之间的反馈：回路过多，仅列出 {count} 个最短的独立回路",
    ),
    "one variable": ("1 variable", "1 个变量"),
    "variables": ("{count} variables", "{count} 个变量"),
    "no fault": ("No fault found", "未发现错误"),
    "vensim checks": (
        "Reality checks of the file: {count}, of which {found} fail or cannot be run",
        "模型文件中的常理检验：{count} 项，其中 {found} 项不成立或无法运行",
    ),
    "many doubts": (
        "{count} doubts to look at, no certain fault",
        "{count} 处存疑，未发现确定的错误",
    ),
    "one doubt": ("1 doubt to look at, no certain fault", "1 处存疑，未发现确定的错误"),
    "units consistent": ("units consistent", "单位一致"),
    "reality checks": (
        "Reality checks: {statements} statements, {draws} draws of the priors, {scenarios} "
        "scenarios",
        "常理检验：{statements} 条陈述、{draws} 个先验样本、{scenarios} 个情景",
    ),
    "all hold": ("{counted}: all hold", "{counted}：全部成立"),
    "violated": (
        "  {name} ({say}): fails in {share:.1%} of the draws with {condition}, first at {time:g} "
        "in draw {draw}",
        "  {name}（{say}）：在 {condition} 下有 {share:.1%} 的样本不成立，首次出现于第 {draw} 个"
        "样本的 {time:g}",
    ),
}
"""Key to its text in English and in Chinese."""
