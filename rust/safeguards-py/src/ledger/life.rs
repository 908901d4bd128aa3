//! What people decide about accounts while these live.

use pyo3::prelude::*;
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{Kind, LedgerError, Why};

use super::PyLedger;
use crate::amount::grant;
use crate::arguments::{check_priority, optional_text, priority, text};
use crate::rules;

impl PyLedger {
    fn decide(
        &self,
        py: Python<'_>,
        decide: impl FnOnce(&safeguards_core::ledger::Ledger) -> Result<(), LedgerError> + Send,
    ) -> PyResult<()> {
        self.answer(py, self.ask(py, decide)?)
    }
}

fn maybe_grant(value: Option<&Bound<'_, PyAny>>, argument: &str) -> PyResult<Option<Amount>> {
    value.map(|value| grant(value, argument)).transpose()
}

#[pymethods]
impl PyLedger {
    /// Lets no work begin on an account, and on all below it, until `resume`.
    ///
    /// Debits and reservations are refused with an `AccountSuspendedError`, a `BudgetExceededError` as well;
    /// the `try_` forms refuse. What is set aside by then can be settled.
    ///
    /// Args:
    ///     account_id: of a pool or an agent; of the pool where both have this id.
    ///     actor: who decides it, for the events.
    ///     reason: why.
    ///
    /// Raises:
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///
    /// Example:
    ///     >>> coordinator.suspend("team", actor="ann", reason="it loops")
    ///     >>> coordinator.try_debit("bot", "0.10"), coordinator.get_available("bot")
    ///     (False, Decimal('0'))
    ///     >>> coordinator.resume("team")
    ///     >>> coordinator.try_debit("bot", "0.10")
    ///     True
    #[pyo3(signature = (account_id, *, actor="", reason=""))]
    fn suspend(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
        #[pyo3(from_py_with = text::actor)] actor: &str,
        #[pyo3(from_py_with = text::reason)] reason: &str,
    ) -> PyResult<()> {
        self.decide(py, |core| core.suspend(account_id, true, Why { actor, reason }))
    }

    /// Lets work begin again on an account that was suspended. One that was not is no error.
    ///
    /// Args:
    ///     account_id: of a pool or an agent; of the pool where both have this id.
    ///     actor: who decides it, for the events.
    ///     reason: why.
    ///
    /// Raises:
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///
    /// Example:
    ///     >>> coordinator.resume("bot")
    #[pyo3(signature = (account_id, *, actor="", reason=""))]
    fn resume(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
        #[pyo3(from_py_with = text::actor)] actor: &str,
        #[pyo3(from_py_with = text::reason)] reason: &str,
    ) -> PyResult<()> {
        self.decide(py, |core| core.suspend(account_id, false, Why { actor, reason }))
    }

    /// What an account does from now on where it cannot pay, or where a window of its is full.
    ///
    /// Args:
    ///     account_id: of a pool or an agent; of the pool where both have this id.
    ///     enforcement: `"enforce"`: it refuses. `"warn"`: it is charged in full, below zero if need be, and
    ///         never a reason to refuse; what it would have refused is a `would_refuse` event, counted in its
    ///         metrics and alerted. `"shadow"`: the same without alerts. The other accounts of a path decide
    ///         alone.
    ///     actor: who decides it, for the events.
    ///     reason: why.
    ///
    /// Raises:
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///     ConfigurationError: `enforcement` is none of the three.
    ///
    /// Example:
    ///     >>> coordinator.set_enforcement("bot", "shadow")
    ///     >>> coordinator.try_debit("bot", 3), coordinator.try_debit("bot", 8)
    ///     (True, False)
    ///     >>> coordinator.get_budget("bot"), coordinator.get_agent_metrics("bot").would_refuse
    ///     (Decimal('-2'), 1)
    #[pyo3(signature = (account_id, enforcement, *, actor="", reason=""))]
    fn set_enforcement(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
        enforcement: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = text::actor)] actor: &str,
        #[pyo3(from_py_with = text::reason)] reason: &str,
    ) -> PyResult<()> {
        let enforcement = rules::enforcement(enforcement)?;
        self.decide(py, |core| core.set_enforcement(account_id, enforcement, Why { actor, reason }))
    }

    /// Changes whose need comes first.
    ///
    /// Args:
    ///     account_id: of a pool or an agent; of the pool where both have this id.
    ///     priority: 1 to 10.
    ///     actor: who decides it, for the events.
    ///     reason: why.
    ///
    /// Raises:
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///     ConfigurationError: `priority` is out of range.
    ///
    /// Example:
    ///     >>> coordinator.set_priority("bot", 8, reason="it answers customers")
    ///     >>> coordinator.get_agent_priority("bot")
    ///     8
    #[pyo3(signature = (account_id, priority, *, actor="", reason=""))]
    fn set_priority(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
        #[pyo3(from_py_with = priority)] priority: i64,
        #[pyo3(from_py_with = text::actor)] actor: &str,
        #[pyo3(from_py_with = text::reason)] reason: &str,
    ) -> PyResult<()> {
        let priority = check_priority(py, priority)?;
        self.decide(py, |core| core.set_priority(account_id, priority, Why { actor, reason }))
    }

    /// Bounds what an agent may have in a period: spent, reserved and remaining.
    ///
    /// The period is the agent's own, else that of the nearest pool above it that has one, else since its
    /// budget was set. Controllers never grant beyond it; `update_budget`, `adjust_budget` and `transfer` are
    /// refused where they would. What the agent has stays.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     max_budget: the bound; None for none.
    ///     actor: who decides it, for the events.
    ///     reason: why.
    ///
    /// Raises:
    ///     InvalidAmountError: `max_budget` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> coordinator.set_max_budget("bot", 2)
    ///     >>> coordinator.update_budget("bot", 3)
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.ConfigurationError: agent "bot" may have 2 in a period (max_budget)...
    #[pyo3(signature = (agent_id, max_budget, *, actor="", reason=""))]
    fn set_max_budget(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        max_budget: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = text::actor)] actor: &str,
        #[pyo3(from_py_with = text::reason)] reason: &str,
    ) -> PyResult<()> {
        let max = maybe_grant(max_budget, "max_budget")?;
        self.decide(py, |core| core.set_max_budget(agent_id, max, Why { actor, reason }))
    }

    /// Bounds how far below zero settlements may take an account from now on.
    ///
    /// What a settlement costs beyond the least headroom on its path is charged nowhere: the receipt, the
    /// metrics and the usage history tell it as unpaid, and an alert does. One that is further below stays
    /// there.
    ///
    /// Args:
    ///     account_id: of a pool or an agent; of the pool where both have this id.
    ///     limit: the bound; None for none.
    ///     actor: who decides it, for the events.
    ///     reason: why.
    ///
    /// Raises:
    ///     InvalidAmountError: `limit` is not an amount.
    ///     UnknownAgentError: there is neither an agent nor a pool of this id.
    ///
    /// Example:
    ///     >>> coordinator.set_overdraft_limit("team", "0.50")
    ///     >>> receipt = coordinator.reserve("bot", "0.10").settle(500)
    ///     >>> receipt.amount, receipt.unpaid, coordinator.get_pool_metrics("team").unpaid
    ///     (Decimal('10.5'), Decimal('489.5'), Decimal('489.5'))
    #[pyo3(signature = (account_id, limit, *, actor="", reason=""))]
    fn set_overdraft_limit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
        limit: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = text::actor)] actor: &str,
        #[pyo3(from_py_with = text::reason)] reason: &str,
    ) -> PyResult<()> {
        let limit = maybe_grant(limit, "limit")?;
        self.decide(py, |core| core.set_overdraft_limit(account_id, limit, Why { actor, reason }))
    }

    /// Puts an agent below another pool.
    ///
    /// What it has spent stays in the books of the pools that paid for it, and a refund of it goes there;
    /// what it has left goes along.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     pool_id: the pool that is to stand right above it. Where it does already nothing happens.
    ///     actor: who decides it, for the events.
    ///     reason: why.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///     UnknownPoolError: no pool of this id exists.
    ///     ConfigurationError: it has active reservations.
    ///
    /// Example:
    ///     >>> other = coordinator.create_budget_pool("other", 5)
    ///     >>> coordinator.move_agent("bot", other, reason="it changed teams")
    ///     >>> coordinator.get_pool_agents(other)
    ///     ['bot']
    #[pyo3(signature = (agent_id, pool_id, *, actor="", reason=""))]
    fn move_agent(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
        #[pyo3(from_py_with = text::actor)] actor: &str,
        #[pyo3(from_py_with = text::reason)] reason: &str,
    ) -> PyResult<()> {
        let why = Why { actor, reason };
        self.decide(py, |core| core.move_account(Kind::Agent, agent_id, Some(pool_id), why))
    }

    /// Puts a pool, with all that stands below it, below another pool, or at the top.
    ///
    /// What was spent in it stays in the books of the pools that paid for it, and a refund of it goes there.
    ///
    /// Args:
    ///     pool_id: the pool.
    ///     parent_id: the pool that is to stand right above it; None for the top. Where it does already
    ///         nothing happens.
    ///     actor: who decides it, for the events.
    ///     reason: why.
    ///
    /// Raises:
    ///     UnknownPoolError: one of the two does not exist.
    ///     ConfigurationError: something below it has active reservations, the new parent stands below it, or
    ///         it would be more than 32 pools deep.
    ///
    /// Example:
    ///     >>> other = coordinator.create_budget_pool("company", 50)
    ///     >>> coordinator.move_pool("team", other)
    ///     >>> coordinator.get_pool_info("team").parent_id
    ///     'company'
    #[pyo3(signature = (pool_id, parent_id, *, actor="", reason=""))]
    fn move_pool(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
        #[pyo3(from_py_with = optional_text::parent_id)] parent_id: Option<&str>,
        #[pyo3(from_py_with = text::actor)] actor: &str,
        #[pyo3(from_py_with = text::reason)] reason: &str,
    ) -> PyResult<()> {
        let why = Why { actor, reason };
        self.decide(py, |core| core.move_account(Kind::Pool, pool_id, parent_id, why))
    }

    /// Closes a pool below which nothing stands any more.
    ///
    /// What it has left lapses; what was spent in it stays in the books of the pools above.
    ///
    /// Raises:
    ///     UnknownPoolError: no pool of this id exists.
    ///     ConfigurationError: agents or pools stand below it, or something of it is reserved.
    ///
    /// Example:
    ///     >>> coordinator.create_budget_pool("trial", 5)
    ///     'trial'
    ///     >>> coordinator.close_pool("trial")
    ///     >>> coordinator.get_pool_ids()
    ///     ['team']
    fn close_pool(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<()> {
        self.decide(py, |core| core.close_pool(pool_id))
    }
}
