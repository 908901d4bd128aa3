"""Recorded demand that quality is judged on; its sources and licences stand in examples/data/README.md."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from safeguards.backtest import Demand

DATA = Path(__file__).parents[2] / "examples" / "data"


def m_large() -> Demand:
    """Two weeks of 162 real tenants of an LLM service, in USD an hour."""
    return Demand.read_csv(DATA / "servegen_m-large_hourly.csv.gz")


def m_large_slots() -> np.ndarray:
    """The same tenants every 10 minutes, in USD. Tokens that are unpublished are as in the tenant's mean."""
    with np.load(DATA / "servegen_m-large.npz") as file:
        requests = file["req_per_s"].astype(float) * 600
        tokens = [file[name].astype(float) for name in ("mean_input_tokens", "mean_output_tokens")]
    prices = (2.5e-6, 10e-6)
    return requests * sum(price * _completed(mean) for price, mean in zip(prices, tokens, strict=True))


def _completed(means: np.ndarray) -> np.ndarray:
    published = np.isfinite(means)
    times = published.sum(1, keepdims=True)
    of_tenant = np.where(published, means, 0).sum(1, keepdims=True) / np.maximum(times, 1)
    is_known = published.any(1, keepdims=True)
    return np.where(published, means, np.where(is_known, of_tenant, np.median(of_tenant[is_known])))


def nab_tweets() -> Demand:
    """Ten companies, 55 days: tweets an hour that mention them."""
    return _table("nab_tweets_hourly.csv", 1320)


def taxi() -> Demand:
    """One city, twelve weeks: passengers an hour."""
    return _table("nab_nyc_taxi_hourly.csv", 2016)


def whole_taxi() -> Demand:
    """The same city, seven months."""
    return _table("nab_nyc_taxi_hourly.csv", None)


def small_pools() -> Demand:
    """Ten pools of about six tenants each, all of the same weight."""
    cost = m_large().cost
    is_used = cost > 0
    active = cost[(is_used[:, :168].mean(1) > 0.3) & (is_used[:, 168:].mean(1) > 0.3)]
    active = active / active.mean(1, keepdims=True)
    groups = np.array_split(np.random.default_rng(0).permutation(len(active)), 10)
    return Demand(tuple("ABCDEFGHIJ"), np.stack([active[group].sum(0) for group in groups]))


def normalised(demand: Demand, hours: int) -> Demand:
    """The agents that are active in most hours, each scaled to 1.00 an hour in its first week.

    So an agent counts by how often it runs out, not by how large it is. The worst hour in a thousand is cut.
    """
    cost = demand.cost[:, :hours]
    is_used = cost > 0
    rows = (is_used[:, :168].mean(1) > 0.3) & (is_used[:, 168:].mean(1) > 0.3)
    cost = cost[rows] / cost[rows][:, :168].mean(1, keepdims=True)
    cost = np.minimum(cost, np.quantile(cost, 0.999, axis=1, keepdims=True))
    return Demand(tuple(np.array(demand.agents)[rows].tolist()), cost)


def _table(name: str, hours: int | None) -> Demand:
    """An hour to a line, a series to a column."""
    head, *rows = csv.reader((DATA / name).read_text(encoding="utf-8").splitlines())
    return Demand(tuple(head[1:]), np.array(rows[:hours], dtype=object)[:, 1:].astype(float).T)
