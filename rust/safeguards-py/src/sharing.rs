//! Dividing a pool for Python: amounts stay exact, figures that are only weighed are floats.

use std::sync::Arc;

use numpy::PyArray1;
use pyo3::prelude::*;
use safeguards_core::amount::{MAX_UNITS, UNITS_PER_ONE};
use safeguards_core::ledger::{Account, Members, Snapshot};
use safeguards_core::sharing::max_min::{self, Claim};
use safeguards_core::sharing::pie::{self, Billionths, Guest, Rule};

use crate::amount::{grant, to_decimal};
use crate::arguments::text;
use crate::array::{column, flags};
use crate::error::configuration_error;
use crate::ledger::PyLedger;
use crate::patience::at_length;

/// Divides an amount by weighted max-min fairness, to the last unit.
///
/// First everybody is given up to their need: who needs less than their part by weight gets it all, and the
/// others share what is left by weight (Bertsekas & Gallager 1992, "Data Networks", section 6.5.2). What is
/// over then goes out in proportion to the needs; by weight if nobody needs anything. Shares are rounded to
/// 1e-9 by largest remainders, of equal ones the first.
///
/// Args:
///     total: what is divided.
///     needs: what each can use.
///     weights: how much each counts, from 1e-9 to 1e9.
///     floors: the least that each gets; nothing if not given. If they add up to more than `total`, each
///         gets its part of it by its floor.
///     ceilings: the most that each gets; no bound if not given.
///
/// Returns:
///     One `Decimal` each. They add up to `total`, or to all ceilings if that is less.
///
/// Raises:
///     InvalidAmountError: something is not an amount.
///     ConfigurationError: the lengths differ, a weight is out of range or a ceiling is below its floor.
///
/// Example:
///     >>> max_min_shares(100, [10, 80, 90], [1, 1, 2])
///     [Decimal('10'), Decimal('30'), Decimal('60')]
#[pyfunction]
#[pyo3(signature = (total, needs, weights, *, floors=None, ceilings=None))]
pub(crate) fn max_min_shares<'py>(
    py: Python<'py>,
    total: &Bound<'py, PyAny>,
    needs: Vec<Bound<'py, PyAny>>,
    weights: Vec<f64>,
    floors: Option<Vec<Bound<'py, PyAny>>>,
    ceilings: Option<Vec<Bound<'py, PyAny>>>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let (total, count) = (units(total, "total")?, needs.len());
    let needs = all_units(&needs, "needs")?;
    let floors = floors.map_or_else(|| Ok(vec![0; count]), |floors| all_units(&floors, "floors"))?;
    let unbounded = || Ok(vec![2 * MAX_UNITS.unsigned_abs(); count]);
    let ceilings = ceilings.map_or_else(unbounded, |ceilings| all_units(&ceilings, "ceilings"))?;
    for (name, length) in [("weights", weights.len()), ("floors", floors.len()), ("ceilings", ceilings.len())]
    {
        check_length(py, name, length, count)?;
    }
    let claim = |i: usize| Claim { need: needs[i], weight: 1, floor: floors[i], ceiling: ceilings[i] };
    let mut claims: Vec<_> = (0..count).map(claim).collect();
    for (claim, weight) in claims.iter_mut().zip(weights) {
        claim.weight = check_weight(py, weight)?;
        if claim.ceiling < claim.floor {
            return Err(configuration_error(py, "a ceiling must not be below its floor"));
        }
    }
    let shares = py.detach(|| max_min::max_min_shares(total, &claims));
    shares.units.into_iter().map(|units| to_decimal(py, units.cast_signed())).collect()
}

fn units(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<u128> {
    Ok(grant(value, argument)?.units().unsigned_abs())
}

fn all_units(values: &[Bound<'_, PyAny>], argument: &str) -> PyResult<Vec<u128>> {
    values.iter().map(|value| units(value, argument)).collect()
}

fn check_length(py: Python<'_>, name: &str, length: usize, expected: usize) -> PyResult<()> {
    if length == expected {
        return Ok(());
    }
    Err(configuration_error(py, format!("{name} has {length} items where {expected} are divided among")))
}

fn check_weight(py: Python<'_>, weight: f64) -> PyResult<u128> {
    if !(1e-9..=1e9).contains(&weight) {
        return Err(configuration_error(py, format!("a weight must be from 1e-9 to 1e9, not {weight}")));
    }
    Ok(u128::from(billionths(weight)))
}

/// A number from 0 to 1e9 in billionths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 64 bits")]
fn billionths(share: f64) -> Billionths {
    (share * 1e9).round() as Billionths
}

/// A pool and the agents right below it, at one instant.
#[pyclass(frozen, module = "safeguards._native", name = "PoolMembers")]
pub(crate) struct PyMembers(Members);

impl PyMembers {
    fn column(&self, units: impl Fn(&Snapshot) -> i128) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss, reason = "figures that are only weighed")]
        self.0.agents.iter().map(|(_, agent)| units(agent) as f64 / UNITS_PER_ONE as f64).collect()
    }
}

#[pymethods]
impl PyMembers {
    #[new]
    fn new(
        py: Python<'_>,
        ledger: &Bound<'_, PyLedger>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<Self> {
        let core = ledger.get().core(py)?;
        let members = at_length(py, core, || core.pool_members(pool_id));
        Ok(Self(ledger.get().answer(py, members)?))
    }

    /// What the pool has left.
    #[getter]
    fn pie<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(py, self.0.pool.balance.remaining)
    }

    /// Seconds until the pool is granted its budget anew; None if it has no period.
    #[getter]
    fn renews_in(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        self.0.renews_in.map(|nanos| nanos as f64 / 1e9)
    }

    /// Ids of the agents.
    #[getter]
    fn ids(&self) -> Vec<&str> {
        self.0.agents.iter().map(|(agent, _)| id(agent)).collect()
    }

    /// Their priorities.
    #[getter]
    fn priorities<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u8>> {
        PyArray1::from_iter(py, self.0.agents.iter().map(|(_, agent)| agent.priority))
    }

    /// What each has left.
    #[getter]
    fn remaining<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_vec(py, self.column(|agent| agent.balance.remaining))
    }

    /// What each has spent so far.
    #[getter]
    fn spent<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_vec(py, self.column(|agent| agent.balance.spent))
    }

    /// Deals the pool out.
    ///
    /// Takes needs (infinite for all there is), weights, who keeps what it has, and the shares of the rule:
    /// floor, reserve, largest change or None. Returns the agents whose budget changes (position, old, new),
    /// what is kept back, and whether there is enough for all floors.
    #[expect(clippy::type_complexity, reason = "a tuple that Python takes apart")]
    fn deal<'py>(
        &self,
        py: Python<'py>,
        needs: &Bound<'py, PyAny>,
        weights: &Bound<'py, PyAny>,
        fixed: &Bound<'py, PyAny>,
        rule: (f64, f64, Option<f64>),
    ) -> PyResult<(Vec<(usize, Bound<'py, PyAny>, Bound<'py, PyAny>)>, Bound<'py, PyAny>, bool)> {
        let (needs, weights): (Vec<f64>, Vec<f64>) = (column(needs, "needs")?, column(weights, "weights")?);
        let fixed = flags(fixed, "fixed")?;
        for (name, length) in [("needs", needs.len()), ("weights", weights.len()), ("fixed", fixed.len())] {
            check_length(py, name, length, self.0.agents.len())?;
        }
        let guests: Vec<_> = needs
            .into_iter()
            .zip(weights)
            .zip(fixed)
            .zip(&self.0.agents)
            .map(|(((need, weight), is_fixed), (_, agent))| Guest {
                remaining: agent.balance.remaining,
                initial: agent.initial,
                need,
                weight,
                is_fixed,
            })
            .collect();
        let rule = Rule {
            floor: billionths(rule.0),
            reserve: billionths(rule.1),
            max_change: rule.2.map(billionths),
        };
        let division = py.detach(|| pie::deal(self.0.pool.balance.remaining, &guests, rule));
        let mut changes = Vec::new();
        for (index, (guest, new)) in guests.iter().zip(division.budgets).enumerate() {
            if guest.remaining != new {
                changes.push((index, to_decimal(py, guest.remaining)?, to_decimal(py, new)?));
            }
        }
        Ok((changes, to_decimal(py, division.reserve)?, division.floors_hold))
    }

    fn __len__(&self) -> usize {
        self.0.agents.len()
    }
}

fn id(agent: &Arc<Account>) -> &str {
    agent.id()
}
