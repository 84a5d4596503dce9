"""A study of fish that shares no name with the shipped one, and the words it must never meet."""

from __future__ import annotations

import re
from pathlib import Path

MODEL = """{UTF-8}
Coast: North, South ~ ~ |
INITIAL TIME = 2015 ~ Year ~ |
FINAL TIME = 2036 ~ Year ~ |
TIME STEP = 0.125 ~ Year ~ |
SAVEPER = 1 ~ Year ~ |
Rain On = 1 ~ Dmnl ~ 0 without the rain. |
Fleet On = 1 ~ Dmnl ~ 0 without the fleet. |
Effort Factor = 1 ~ Dmnl ~ |
Mesh Factor = 1 ~ Dmnl ~ |
Fish[Coast] = INTEG(births[Coast] - landings[Coast], Initial Fish[Coast]) ~ kt ~ |
births[Coast] = Birth Rate*(1 + 0.1*Rain On)*Fish[Coast]*(1 - Fish[Coast]/Room) ~ kt/Year ~ |
effort = Effort Factor*(0.5 + 0.5*Fleet On) ~ Dmnl ~ |
landings[Coast] = Catchability*effort/Mesh Factor*Fish[Coast] ~ kt/Year ~ |
all landings = SUM(landings[Coast!]) ~ kt/Year ~ |
fuel[Coast] = Fuel Use*(effort*Mesh Factor - 1)*Fish[Coast] ~ kt/Year ~ In fish that pays for it. |
wages[Coast] = 0.4*landings[Coast] - fuel[Coast] ~ kt/Year ~ |
Initial Fish[Coast] = 40, 60 ~ kt ~ |
Birth Rate = 0.6 ~ 1/Year ~ |
Room = 120 ~ kt ~ |
Catchability = 0.2 ~ 1/Year ~ |
Fuel Use = 0.05 ~ 1/Year ~ [judgement] |
"""

STUDY = """
[study]
title = { en = "Two coasts and their fish", zh = "两岸渔业" }
model = "fish.mdl"
observations = "observations.csv"
places = "places.csv"
priors = "priors.toml"
scenarios = "scenarios.toml"
target = "landings"

[forecast]
companions = ["Fish"]
total = "all landings"
compare = "calm"

[levers."Effort Factor"]
key = "effort"
label = { en = "Fishing effort", zh = "捕捞强度" }
one = "effort as in 2015"
range = [0.5, 1.5]
driver = "Fleet On"

[levers."Mesh Factor"]
key = "mesh"
label = { en = "Mesh width", zh = "网目" }
range = [1.0, 1.5]

[drivers."Rain On"]
label = { en = "Rain", zh = "降雨" }

[drivers."Fleet On"]
label = { en = "Fleet", zh = "船队" }

[money]
spending = ["fuel"]
left = ["wages"]

[labels]
landings = { zh = "上岸量" }
kt = { en = "kilotonnes", zh = "千吨" }

[noise]
grade = { A = 0.02, B = 0.06, C = 0.15 }
vintage = { final = 0.0, revised = 0.01, preliminary = 0.03, only = 0.0 }
year_shock = { default = 0.05 }
season = { mean = 0.1, sd = 0.05 }
reference = 2020.0

[definitions.port]
title = "Landed at ports"
offset_sd = 0.0
trend_sd = 0.0
noise = 0.0
"""

PRIORS = """
["Birth Rate"]
distribution = "lognormal"
log_sd = 0.2
unit = "1/Year"
role = "driver"
source = "judgement"

["Catchability"]
distribution = "lognormal"
log_sd = 0.2
unit = "1/Year"
role = "driver"
source = "judgement"

["Initial Fish"]
distribution = "lognormal"
log_sd = 0.3
unit = "kt"
per = "Coast"
role = "place"
source = "judgement"
"""

SCENARIOS = """
[as-is]
title = "As it is"
title_zh = "现状"

[calm]
extends = "as-is"
title = "A calm sea"
title_zh = "风平浪静"
constants = { "Effort Factor" = 0.8 }

[mesh]
extends = "as-is"
title = "Wider meshes"
title_zh = "放宽网目"
constants = { "Mesh Factor" = 1.2 }
"""

PLACES = "place,title,title_zh,belts,note\nAll coasts,All coasts,各海岸,North;South,\n"

_HEAD = "place,quantity,kind,start,end,value,unit,definition,vintage,grade,published,source,"
_HEAD += "url,quote,note\n"
_ROWS = (
    ("North", 8.3, 2016),
    ("North", 8.9, 2018),
    ("North", 9.4, 2022),
    ("South", 12.2, 2016),
    ("South", 12.0, 2019),
    ("South", 11.9, 2021),
    ("All coasts", 21.0, 2017),
    ("All coasts", 21.4, 2023),
)

WORDS = re.compile(
    r"belts?\b(?!cast)|CNY|yuan|\bbrands?\b|seller|\btiers?\b|China|Chinese|Government|Platform"
    r"|Market\b|\bsupport|\btilt|threshold|e-commerce|cross-border|\bzones?\b|\bnation|产业带|元"
    r"|政府|平台|Shenzhen|Foshan|de-minimis",
    re.IGNORECASE,
)
"""Words of the shipped study."""


def write_fish(folder: Path) -> Path:
    """Write the study; return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(
        f"{place},landings,level,{year},{year + 1},{value},kt,port,final,A,{year + 1}.3,"
        "Harbour masters,,counted at the quay,\n"
        for place, value, year in _ROWS
    )
    texts = {
        "fish.mdl": MODEL,
        "study.toml": STUDY,
        "priors.toml": PRIORS,
        "scenarios.toml": SCENARIOS,
        "places.csv": PLACES,
        "observations.csv": _HEAD + rows,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "study.toml"
