//! Accounts that come and go.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{NewAgent, NewPool};

use super::PyLedger;
use crate::account::PyAccount;
use crate::amount::grant;
use crate::arguments::{check_id, check_priority, flag, optional_text, priority, read_text, string, text};
use crate::patience::{at_length, patiently};
use crate::rules;

impl PyLedger {
    fn register(&self, py: Python<'_>, new: &[NewAgent<'_>], exist_ok: bool) -> PyResult<()> {
        let core = self.core(py)?;
        let register = || if exist_ok { core.ensure_agents(new) } else { core.register_agents(new) };
        self.answer(py, at_length(py, core, register)).map(drop)
    }
}

/// Id, pool, priority, budget and rules, if there are any.
type AgentRow<'py> =
    (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>, Option<Bound<'py, PyDict>>);

#[pymethods]
impl PyLedger {
    #[pyo3(signature = (pool_id, initial_budget, priority, parent_id, name, exist_ok, rules))]
    #[expect(clippy::too_many_arguments, reason = "what create_budget_pool was asked for")]
    fn _create_pool(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
        initial_budget: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = priority)] priority: i64,
        #[pyo3(from_py_with = optional_text::parent_id)] parent_id: Option<&str>,
        #[pyo3(from_py_with = optional_text::name)] name: Option<&str>,
        #[pyo3(from_py_with = flag::exist_ok)] exist_ok: bool,
        rules: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let budget = grant(initial_budget, "initial_budget")?;
        let (core, priority) = (self.core(py)?, check_priority(py, priority)?);
        check_id(py, "pool_id", pool_id)?;
        let rules = rules::read(py, Some(rules), core.clock().wall())?;
        let name = name.filter(|name| *name != pool_id);
        let new = NewPool { id: pool_id, name, parent: parent_id, budget, priority, rules };
        let make = || if exist_ok { core.ensure_pool(new) } else { core.create_pool(new) };
        self.answer(py, patiently(py, core, make)).map(drop)
    }

    /// Registers an agent below a pool. Takes nothing from the pool: the budgets below may add up to more.
    ///
    /// Args:
    ///     agent_id: its id, 1 to 512 bytes of UTF-8, unique among agents.
    ///     pool_id: the pool right above it.
    ///     priority: 1 to 10.
    ///     initial_budget: what it may spend; more than 9 decimal places are rounded down.
    ///     exist_ok: an agent that is registered already stays as it is, its money included.
    ///     budget_period: as of `create_budget_pool`: what each period begins with is `initial_budget`.
    ///     timezone: as of `create_budget_pool`; and so are all that follow.
    ///     anchor_day: the day on which periods begin.
    ///     anchor_hour: the hour at which they do.
    ///     rollover: how much of what a period leaves goes into the next one.
    ///     overdraft: what becomes of what is missing.
    ///     overdraft_limit: how far below zero facts may take it.
    ///     max_budget: the most that it may have in a period, see `set_max_budget`; None: no bound.
    ///     enforcement: as of `set_enforcement`.
    ///
    /// Returns:
    ///     `agent_id`.
    ///
    /// Raises:
    ///     InvalidAmountError: `initial_budget` is not an amount.
    ///     UnknownPoolError: no pool of this id exists.
    ///     ConfigurationError: the id is taken, empty or too long, or `priority` is out of range; or the
    ///         agent that `exist_ok` would leave as it is stands below another pool, or has another period.
    ///
    /// Example:
    ///     >>> coordinator.register_agent("writer", "team", priority=8, initial_budget="2.50")
    ///     'writer'
    #[pyo3(
        signature = (agent_id, pool_id, priority=5, initial_budget=None, *, exist_ok=false, **rules),
        text_signature = "($self, agent_id, pool_id, priority=5, initial_budget=0, *, exist_ok=False, \
                          budget_period=None, timezone=None, anchor_day=1, anchor_hour=0, rollover='none', \
                          overdraft='carry', overdraft_limit=None, max_budget=None, enforcement='enforce')"
    )]
    fn register_agent<'py>(
        &self,
        #[pyo3(from_py_with = string::agent_id)] agent_id: Bound<'py, PyString>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
        #[pyo3(from_py_with = priority)] priority: i64,
        initial_budget: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = flag::exist_ok)] exist_ok: bool,
        rules: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyString>> {
        let py = agent_id.py();
        let budget = initial_budget.map_or(Ok(Amount::ZERO), |budget| grant(budget, "initial_budget"))?;
        let id = read_text(agent_id.as_any(), "agent_id")?;
        check_id(py, "agent_id", id)?;
        let priority = check_priority(py, priority)?;
        let rules = rules::read(py, rules, self.core(py)?.clock().wall())?;
        self.register(py, &[NewAgent { id, pool: pool_id, priority, budget, rules }], exist_ok)?;
        Ok(agent_id)
    }

    /// Agents as rows of id, pool, priority, budget and rules.
    fn _register_agents(
        &self,
        py: Python<'_>,
        rows: Vec<AgentRow<'_>>,
        #[pyo3(from_py_with = flag::exist_ok)] exist_ok: bool,
    ) -> PyResult<()> {
        let (mut new, now) = (Vec::with_capacity(rows.len()), self.core(py)?.clock().wall());
        for (asked_id, asked_pool, asked_priority, asked_budget, asked_rules) in &rows {
            let (id, pool) = (read_text(asked_id, "agent_id")?, read_text(asked_pool, "pool_id")?);
            check_id(py, "agent_id", id)?;
            let budget = grant(asked_budget, "initial_budget")?;
            let priority = check_priority(py, priority(asked_priority)?)?;
            let rules = rules::read(py, asked_rules.as_ref(), now)?;
            new.push(NewAgent { id, pool, priority, budget, rules });
        }
        self.register(py, &new, exist_ok)
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
    fn unregister_agent(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<()> {
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
    fn account(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<PyAccount> {
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
    fn handle(&self, py: Python<'_>, #[pyo3(from_py_with = text::agent_id)] agent_id: &str) -> PyResult<u32> {
        self.answer(py, self.ask(py, |core| core.handle(agent_id))?)
    }
}
