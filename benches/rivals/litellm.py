"""litellm: `BudgetManager`, asked before a call and told afterwards.

(`litellm.max_budget` is not shown: in this release its counter stays at 0.0, also one call after the other.)
"""

from __future__ import annotations

import contextlib
import os

from rivals import openai_model
from rivals.usage import BUDGET, Model, Usage, in_threads

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import fetches a price list
import litellm

NAME = "litellm"
MODEL = f"openai/{openai_model.NAME}"
AGENT = "agent"


def overspend() -> list[Usage]:
    how = "BudgetManager asked before, update_cost() after the call"
    return [Usage(how, "threads", _asked_and_told)]


def _asked_and_told(model: Model) -> float:
    per_token = openai_model.DOLLARS_PER_1000_TOKENS / 1_000
    price = {"input_cost_per_token": per_token, "output_cost_per_token": 0.0, "litellm_provider": "openai"}
    with contextlib.redirect_stdout(None):
        litellm.register_model({MODEL: price, openai_model.NAME: price})
    manager = litellm.BudgetManager(project_name="bench", client_type="local")
    manager.create_budget(total_budget=float(BUDGET), user=AGENT)
    client = openai_model.blocking_client(model)

    def job() -> None:
        if manager.get_current_cost(user=AGENT) <= manager.get_total_budget(AGENT):
            response = litellm.completion(model=MODEL, messages=openai_model.MESSAGES, client=client)
            manager.update_cost(completion_obj=response, user=AGENT)

    in_threads(model, job, refusals=())
    return float(manager.get_current_cost(user=AGENT))
