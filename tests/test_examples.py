"""Every script in examples/ runs and prints what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))

PRINTED = {
    "best_models.py": [
        "part of the optimum in hindsight        1%      5%     10%     25%     50%",
        "equal parts                           0.36    0.76    0.73    0.72    0.77",
        "no volumes, tolerance 0.5             0.85    0.65    0.51    0.35    0.28",
        "no volumes, best tolerance            0.85    0.81    0.87    0.88    0.83",
        "volumes, tolerance 0.5                0.91    0.99    0.99    1.00    1.00",
        "volumes, tolerance 1                  1.00    0.99    1.00    1.00    1.00",
        "",
        "6.28 USD, volumes, tolerance 1:",
        "   0.17 USD, 113 cases: DeepSeek Chat V3 (prev) (2024-12-25)",
        "   0.44 USD, 113 cases: DeepSeek-V3.2-Exp (Chat) (2025-10-03)",
        "   0.37 USD, 113 cases: Grok 3 Mini Beta (high) (2025-04-10)",
        "   0.37 USD, 113 cases: gpt-oss-120b (high) (2025-08-06)",
        "   0.66 USD, 113 cases: DeepSeek-V3.2-Exp (Reasoner) (2025-10-03)",
        "   0.56 USD, 113 cases: DeepSeek V3 (0324) (2025-03-24)",
        "   0.62 USD, 113 cases: Kimi K2 (2025-07-17)",
        "   0.38 USD, 113 cases: Qwen3 32B (2025-05-08)",
        "   0.39 USD, 113 cases: Grok 3 Mini Beta (low) (2025-04-10)",
        "   0.57 USD, 113 cases: gemini-2.5-flash-preview-05-20 (no think) (2025-05-26)",
        "   0.26 USD, 113 cases: DeepSeek Chat V2.5 (2024-12-21)",
        "   0.22 USD, 113 cases: gpt-4.1-nano (2025-04-14)",
        "   0.93 USD, 113 cases: gemini-2.5-flash-preview-04-17 (default) (2025-04-20)",
        "   0.35 USD,  39 cases: gpt-4.1-mini (2025-04-14)",
    ],
    "business_hours.py": [
        "Mon 00:00       0 -> 20   profile 'night' is in force until Mon 2026-03-23 09:00",
        "Mon 09:00       0 -> 300  profile 'business hours' is in force until Mon 2026-03-23 17:00",
        "Mon 17:00       0 -> 60   profile 'evening' is in force until Mon 2026-03-23 22:00",
        "Mon 22:00      45 -> 20   profile 'night' is in force until Tue 2026-03-24 09:00",
        "",
        "paid for on Friday    none    even  forecast",
        "              9:00    100%     72%       67%",
        "             10:00    100%     62%       58%",
        "             11:00    100%     65%       65%",
        "             12:00    100%     57%       57%",
        "             13:00    100%     60%       63%",
        "             14:00      0%     60%       60%",
        "             15:00      0%     62%       65%",
        "             16:00      0%     63%       65%",
    ],
    "choose_endpoint.py": [
        "step   load/limit of    north    south     west",
        "  10                    62/64    44/43    44/43",
        "  20                    72/73    39/38    39/38",
        "  30                    75/74    38/38    37/38",
        "  40                    66/66    42/42    42/42",
        "  50                    50/51    50/49    50/49",
        "  60                    37/36    56/57    57/57",
        "  70                    26/27    62/62    62/62",
        "  80                    25/26    62/62    63/62",
        "  90                    34/34    58/58    58/58",
        " 100                    50/49    51/51    49/51",
        "refused: 0.7% of 15,000 requests",
        "load within 5 of the limit: 100% of the time",
    ],
    "fair_cluster.py": [
        "trainer        3 tasks, 50.0% of gpu        until gpu is used up",
        "renderer       6 tasks, 50.0% of gpu        until gpu is used up",
        "scraper       66 tasks, 68.8% of cpu        until cpu is used up",
        "cache     28.875 tasks, 77.0% of memory_gb  until memory_gb is used up",
        "started: trainer 3, renderer 6, scraper 66, cache 28",
        "left: 0 gpu, 0 cpu, 14 memory_gb",
    ],
    "guarded_call.py": [
        "WHAT IS A BUDGET? 0.0132",
        "AND A POOL? 0.0088",
        "refused: 0.01 asked, 0.0088 there",
        "refused: 0.01 asked, 0.0088 there",
    ],
    "learn_patterns.py": [
        "agent 'nightly', 2026-03-04 00:00 to 2026-03-18 00:00 (42 data points)",
        "  usage      1.5 per 60 minutes, none in 88% of them",
        "  day        strength 0.99: most at 02:00 (12.4), least at 00:00 (0)",
        "  week       strength 0.00: most on Fridays (38.8), least on Mondays (33.6)",
        "  trend      -0.1% a day",
        "  anomalies  none",
        "",
        "tomorrow    foreseen     80% interval  confidence",
        "support         32.0     25.5 to 40.4         88%",
        "nightly         37.1     32.9 to 42.7         93%",
        "steady          18.5     16.9 to 20.5         94%",
        "erratic          7.1      0.0 to 32.8         57%",
        "",
        "decisions",
        "nightly       9424.2 -> 44.6",
        "steady        9711.3 -> 22.1",
        "support       9543.4 -> 38.4",
        "support    spent   34.1 of 38.4",
        "nightly    spent   32.1 of 44.6",
        "steady     spent   17.8 of 22.1",
        "erratic    spent    0.6 of 8996.8",
    ],
    "learn_policy.py": [
        "week two                  reward   exhausted    used   by a learned policy",
        "the step rule                9.5       25.5%   53.8%                    0%",
        "the optimizer               26.2        9.3%   52.4%                  100%",
        "",
        "steady demand: change of the budget, by budget / need",
        "next, of the day's peak   0.25   0.5   0.7  0.85     1   1.2   1.5     2     3     5",
        "                     5%   +30%     .  -30%  -30%  -30%  -30%  -30%  -30%  -30%  -30%",
        "                    12%   +30%  +30%     .  -20%  -30%  -30%  -30%  -30%  -30%  -30%",
        "                    25%   +30%  +30%     .  -10%  -30%  -30%  -30%  -30%  -30%  -30%",
        "                    40%   +30%  +30%  +30%  +10%     .  -20%  -30%  -30%  -30%  -30%",
        "                    55%   +30%  +30%  +30%  +20%  +10%  -10%  -30%  -30%  -30%  -30%",
        "                    70%   +30%  +30%  +30%  +30%  +10%     .  -20%  -30%  -30%  -30%",
        "                    90%   +30%  +30%  +30%  +30%  +20%     .  -20%  -30%  -30%  -30%",
        "                   120%   +30%  +30%  +30%  +30%  +30%  +30%     .  -20%  -30%  -30%",
    ],
    "many_agents.py": [
        "399,918 of 500,000 admitted, 199.999999996 spent of 200",
        "exact: True",
    ],
    "size_pools.py": [
        "policy                           refused   granted for 1.00 wanted",
        "step                               30.8%                      1.22",
        "auto                               16.2%                      1.31",
        "predictive, 70% use                16.4%                      1.27",
        "predictive, short in 5% of hours    8.0%                      1.98",
    ],
    "reallocate.py": [
        "parts by priority  1200 of 3,360 agent-hours ran out,  2092.80 spent",
        "reallocated         516 of 3,360 agent-hours ran out,  2506.87 spent, 2,383 grants from the reserve",
    ],
    "tasks.py": [
        "wave 1: 10 of 50 paid for, 0.4 left",
        "wave 2: 4 of 50 paid for, 0.16 left",
    ],
}


def test_every_example_is_tested():
    assert [path.name for path in EXAMPLES if path.name not in PRINTED] == []


@pytest.mark.parametrize("name", PRINTED)
def test_example(name):
    path = EXAMPLES[0].parent / name
    done = subprocess.run(
        [sys.executable, "-W", "error", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == PRINTED[name]
