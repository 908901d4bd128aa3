//! What accounts may spend.

use pyo3::prelude::*;

use super::PyLedger;
use crate::amount::{grant, signed, to_decimal};
use crate::arguments::text;
use crate::patience::patiently;

#[pymethods]
impl PyLedger {
    /// What an agent has left: its own remaining budget, negative only after an overdraft.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> coordinator.get_budget("bot")
    ///     Decimal('1')
    fn get_budget<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core(py)?;
        to_decimal(
            py,
            self.answer(
                py,
                patiently(py, core, || core.with_agent(agent_id, |agent| core.remaining(agent))),
            )?,
        )
    }

    /// The least that remains on the path from an agent to its topmost pool: what it can really spend now.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> coordinator.update_budget("bot", 50)
    ///     >>> coordinator.get_budget("bot"), coordinator.get_available("bot")
    ///     (Decimal('50'), Decimal('10'))
    fn get_available<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core(py)?;
        to_decimal(
            py,
            self.answer(
                py,
                patiently(py, core, || core.with_agent(agent_id, |agent| core.available(agent))),
            )?,
        )
    }

    /// Makes `budget` remain for an agent, whatever its pools say. Reservations are untouched.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     budget: what it may spend from now on; more than 9 decimal places are rounded down.
    ///
    /// Raises:
    ///     InvalidAmountError: `budget` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> coordinator.update_budget("bot", "2.50")
    ///     >>> coordinator.get_budget("bot")
    ///     Decimal('2.5')
    fn update_budget(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        budget: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let budget = grant(budget, "budget")?;
        self.answer(py, self.ask(py, |core| core.update_budget(agent_id, budget))?)
    }

    /// Adds to what remains for an agent, or takes away, in one step: safe while others spend.
    ///
    /// It changes the current period; `update_budget` begins a new one.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     change: how much; more than 9 decimal places are rounded down. Below zero it is taken away,
    ///         rounded up, but never more than remains.
    ///
    /// Returns:
    ///     The change that was made.
    ///
    /// Raises:
    ///     InvalidAmountError: `change` is not an amount with a sign.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: it would have more than 10^15 left.
    ///
    /// Example:
    ///     >>> coordinator.adjust_budget("bot", "0.50"), coordinator.adjust_budget("bot", -2)
    ///     (Decimal('0.5'), Decimal('-1.5'))
    fn adjust_budget<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        change: &Bound<'_, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let change = signed(change, "change")?;
        to_decimal(py, self.answer(py, self.ask(py, |core| core.adjust_budget(agent_id, change))?)?)
    }

    /// What a pool has left: its own remaining budget, negative only after an overdraft.
    ///
    /// Raises:
    ///     UnknownPoolError: no pool of this id exists.
    ///
    /// Example:
    ///     >>> coordinator.get_pool_budget("team")
    ///     Decimal('10')
    fn get_pool_budget<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core(py)?;
        to_decimal(
            py,
            self.answer(
                py,
                patiently(py, core, || core.pool(pool_id).and_then(|pool| core.remaining(&pool))),
            )?,
        )
    }

    /// Makes `budget` remain for a pool. Reservations are untouched.
    ///
    /// Later periods of a pool with a `budget_period` begin with what they did before.
    ///
    /// Raises:
    ///     InvalidAmountError: `budget` is not an amount.
    ///     UnknownPoolError: no pool of this id exists.
    ///
    /// Example:
    ///     >>> coordinator.update_pool_budget("team", 20)
    ///     >>> coordinator.get_pool_budget("team")
    ///     Decimal('20')
    fn update_pool_budget(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
        budget: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let budget = grant(budget, "budget")?;
        self.answer(py, self.ask(py, |core| core.update_pool_budget(pool_id, budget))?)
    }

    /// Adds to what remains for a pool, or takes away, in one step: safe while others spend.
    ///
    /// It changes the current period; `update_pool_budget` begins a new one. Later periods of a pool with a
    /// `budget_period` begin with what they did before.
    ///
    /// Args:
    ///     pool_id: the pool.
    ///     change: as in `adjust_budget`.
    ///
    /// Returns:
    ///     The change that was made.
    ///
    /// Raises:
    ///     InvalidAmountError: `change` is not an amount with a sign.
    ///     UnknownPoolError: no pool of this id exists.
    ///     ConfigurationError: it would have more than 10^15 left.
    ///
    /// Example:
    ///     >>> coordinator.adjust_pool_budget("team", "2.50"), coordinator.get_pool_budget("team")
    ///     (Decimal('2.5'), Decimal('12.5'))
    fn adjust_pool_budget<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
        change: &Bound<'_, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let change = signed(change, "change")?;
        to_decimal(py, self.answer(py, self.ask(py, |core| core.adjust_pool_budget(pool_id, change))?)?)
    }

    /// Sets what later periods of an account begin with. The current period stays as it is.
    ///
    /// Args:
    ///     account_id: of a pool or an agent; of the pool where both have this id.
    ///     budget: what the next period begins with, and those after it.
    ///
    /// Raises:
    ///     InvalidAmountError: `budget` is not an amount.
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///     ConfigurationError: the account has no `budget_period`.
    ///
    /// Example:
    ///     >>> pool = coordinator.create_budget_pool("daily", 5, budget_period="daily", timezone="UTC")
    ///     >>> coordinator.update_period_budget(pool, 7)
    ///     >>> coordinator.get_pool_budget(pool)
    ///     Decimal('5')
    fn update_period_budget(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
        budget: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let budget = grant(budget, "budget")?;
        self.answer(py, self.ask(py, |core| core.set_period_budget(account_id, budget))?)
    }
}
