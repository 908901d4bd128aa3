"""The same problem, written down for HiGHS, a solver of linear and quadratic programs.

It is stated in the words of the guide and shares no code with the package: variables are the shares of the
operations that money can reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import highspy
import numpy as np

if TYPE_CHECKING:
    from yardsticks.instances import Instance


def solve(instance: Instance) -> np.ndarray | None:
    """HiGHS's best shares, or None if the floors cannot be kept."""
    own = instance.reachable
    n, caps = len(own), np.minimum(instance.caps, 1)[own]
    whole = min(
        1.0, sum(min(1.0, sum(caps[[instance.agents[k] == a for k in own]])) for a in set(instance.agents))
    )
    risk = 1.0 if instance.tolerance == 0 else (1 - instance.tolerance) / instance.tolerance
    model = highspy.HighsModel()
    lp = model.lp_
    lp.num_col_, lp.num_row_ = n, instance.n_agents + 1
    lp.col_cost_ = np.zeros(n) if instance.tolerance == 0 else -instance.roi[own]
    lp.col_lower_, lp.col_upper_ = np.zeros(n), caps
    lp.row_lower_ = np.array([whole] + [instance.floor] * instance.n_agents)
    lp.row_upper_ = np.array([whole] + [np.inf] * instance.n_agents)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.arange(0, 2 * n + 1, 2)
    lp.a_matrix_.index_ = np.array([row for k in own for row in (0, 1 + instance.agents[k])])
    lp.a_matrix_.value_ = np.ones(2 * n)
    if risk > 0:
        model.hessian_.dim_ = n
        model.hessian_.format_ = highspy.HessianFormat.kTriangular
        model.hessian_.start_ = np.arange(n + 1)
        model.hessian_.index_ = np.arange(n)
        model.hessian_.value_ = risk * instance.deviation[own] ** 2
    highs = highspy.Highs()
    highs.setOptionValue("log_to_console", False)  # noqa: FBT003 - HiGHS takes it by position
    highs.passModel(model)
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return None
    assert status == highspy.HighsModelStatus.kOptimal, status
    shares = np.zeros(len(instance.agents))
    shares[own] = highs.getSolution().col_value
    return shares
