//! Accounts that come and go.

use pyo3::prelude::*;
use safeguards_core::amount::Amount;
use safeguards_core::ledger::NewPool;

use super::PyLedger;
use crate::account::PyAccount;
use crate::amount::grant;
use crate::arguments::{check_id, check_priority, optional_text, period, priority, text};
use crate::patience::patiently;
use crate::time_zones;

#[pymethods]
impl PyLedger {
    #[pyo3(signature = (pool_id, initial_budget, priority, parent_id, budget_period, timezone))]
    #[expect(clippy::too_many_arguments, reason = "what create_budget_pool was asked for")]
    fn _create_pool(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] pool_id: &str,
        initial_budget: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = priority)] priority: i64,
        #[pyo3(from_py_with = optional_text)] parent_id: Option<&str>,
        budget_period: Option<&Bound<'_, PyAny>>,
        timezone: Option<time_zones::Zone>,
    ) -> PyResult<()> {
        let budget = grant(initial_budget, "initial_budget")?;
        let (core, priority) = (self.core(py)?, check_priority(py, priority)?);
        check_id(py, "pool_id", pool_id)?;
        let schedule = time_zones::schedule(py, period(budget_period)?, timezone, core.clock().wall())?;
        let new = NewPool { id: pool_id, parent: parent_id, budget, priority, schedule };
        self.answer(py, patiently(py, core, || core.create_pool(new))).map(|_| ())
    }

    /// Registers an agent below a pool. Takes nothing from the pool: the budgets below may add up to more.
    ///
    /// Args:
    ///     agent_id: its id, 1 to 512 bytes of UTF-8, unique among agents.
    ///     pool_id: the pool right above it.
    ///     priority: 1 to 10.
    ///     initial_budget: what it may spend; more than 9 decimal places are rounded down.
    ///
    /// Returns:
    ///     `agent_id`.
    ///
    /// Raises:
    ///     InvalidAmountError: `initial_budget` is not an amount.
    ///     UnknownPoolError: no pool of this id exists.
    ///     ConfigurationError: the id is taken, empty or too long, or `priority` is out of range.
    ///
    /// Example:
    ///     >>> coordinator.register_agent("writer", "team", priority=8, initial_budget="2.50")
    ///     'writer'
    #[pyo3(
        signature = (agent_id, pool_id, priority=5, initial_budget=None),
        text_signature = "($self, agent_id, pool_id, priority=5, initial_budget=0)"
    )]
    fn register_agent<'py>(
        &self,
        agent_id: Bound<'py, pyo3::types::PyString>,
        #[pyo3(from_py_with = text)] pool_id: &str,
        #[pyo3(from_py_with = priority)] priority: i64,
        initial_budget: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, pyo3::types::PyString>> {
        let py = agent_id.py();
        let budget = initial_budget.map_or(Ok(Amount::ZERO), |budget| grant(budget, "initial_budget"))?;
        let id = text(agent_id.as_any())?;
        check_id(py, "agent_id", id)?;
        let priority = check_priority(py, priority)?;
        self.answer(py, self.ask(py, |core| core.register_agent(id, pool_id, priority, budget))?)?;
        Ok(agent_id)
    }

    /// Forgets an agent and its history. What it has spent stays in the books of its pools.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: it has active reservations.
    ///
    /// Example:
    ///     >>> coordinator.unregister_agent("bot")
    ///     >>> coordinator.get_all_agent_ids()
    ///     []
    fn unregister_agent(&self, py: Python<'_>, #[pyo3(from_py_with = text)] agent_id: &str) -> PyResult<()> {
        self.answer(py, self.ask(py, |core| core.unregister_agent(agent_id))?)
    }

    /// An agent's account, found once: the fastest way to debit it again and again.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> account = coordinator.account("bot")
    ///     >>> account.try_debit("0.10"), account.budget
    ///     (True, Decimal('0.9'))
    fn account(slf: &Bound<'_, Self>, #[pyo3(from_py_with = text)] agent_id: &str) -> PyResult<PyAccount> {
        let (this, py) = (slf.get(), slf.py());
        Ok(PyAccount::new(slf, this.answer(py, this.ask(py, |core| core.agent(agent_id))?)?))
    }

    /// The number by which `debit_many` names an agent, valid until it is unregistered.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> coordinator.handle("bot")
    ///     0
    fn handle(&self, py: Python<'_>, #[pyo3(from_py_with = text)] agent_id: &str) -> PyResult<u32> {
        self.answer(py, self.ask(py, |core| core.handle(agent_id))?)
    }
}
