//! The ledger as Python sees it. `BudgetCoordinator` inherits these methods, so that a hot call passes through
//! no Python code.

use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyTuple};
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{
    Account, Alarm, Crossing, HistoryLimits, Kind, Ledger, LedgerError, NewPool, OperationId, Receipt,
    Schedule, Threshold,
};

use crate::account::PyAccount;
use crate::amount::{charge, grant, signed, to_decimal};
use crate::arguments::{
    Asked, check_id, check_priority, count, operation, optional_text, period, priority, real, text,
    time_zone, ttl_seconds, whole,
};
use crate::array::column;
use crate::clock::{self, from_datetime};
use crate::error::{configuration_error, to_py};
use crate::fork::Process;
use crate::receipt::PyReceipt;
use crate::reports;
use crate::reservation::{Held, PyReservation};

/// The books behind `BudgetCoordinator`, which inherits every method from here.
///
/// Examples of its methods start from a `coordinator` with the agent `"bot"` (1.00) in the pool `"team"`
/// (10.00).
///
/// Args:
///     clock: where to read the time; the system's clocks if not given.
///     thresholds: shares of a budget whose crossing is told; at most 100.
///     history_events: latest events of each agent that are kept as they were, at most; at least three
///         quarters of so many.
///     history_sums: sums by hour that are kept of older usage, at least 2.
#[pyclass(frozen, subclass, weakref, module = "safeguards._native", name = "Ledger")]
pub(crate) struct PyLedger {
    pub(crate) ledger: Ledger,
    process: Process,
}

impl PyLedger {
    /// The core, if this is the process that it was made in.
    #[inline]
    pub(crate) fn core(&self, py: Python<'_>) -> PyResult<&Ledger> {
        self.process.check(py)?;
        Ok(&self.ledger)
    }

    /// What the core answered, or the exception that says why not.
    #[inline]
    pub(crate) fn answer<R>(&self, py: Python<'_>, outcome: Result<R, LedgerError>) -> PyResult<R> {
        outcome.map_err(|error| to_py(py, error, &self.ledger))
    }

    #[inline]
    pub(crate) fn debit_account(
        &self,
        agent: &Arc<Account>,
        amount: Amount,
        operation: OperationId,
        key: Option<&str>,
    ) -> Result<Receipt, LedgerError> {
        match key {
            None => self.ledger.debit_account(agent, amount, operation),
            Some(key) => self.ledger.debit_keyed(agent, amount, operation, key),
        }
    }

    #[inline]
    pub(crate) fn reserve_account(
        &self,
        agent: &Arc<Account>,
        asked: &Asked<'_>,
    ) -> Result<Held, LedgerError> {
        match asked.key {
            None => self.ledger.reserve(agent, asked.request).map(Held::Alone),
            Some(key) => self.ledger.reserve_keyed(agent, asked.request, key).map(Held::Shared),
        }
    }
}

/// Some where admitted, none where refused for lack of money or room; other errors stay errors.
#[inline]
pub(crate) fn admitted<R>(outcome: Result<R, LedgerError>) -> Result<Option<R>, LedgerError> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(LedgerError::BudgetExceeded(_) | LedgerError::RateLimitExceeded(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Calls `_on_crossing` or `_on_low` of the coordinator for each alarm. Never fails a debit.
#[inline]
pub(crate) fn tell_alarms(ledger: &Bound<'_, PyLedger>) {
    if ledger.get().ledger.has_alarms() {
        call_on_alarms(ledger);
    }
}

#[cold]
fn call_on_alarms(ledger: &Bound<'_, PyLedger>) {
    for alarm in ledger.get().ledger.take_alarms() {
        let told = match &alarm {
            Alarm::Crossing(crossing) => call_on_crossing(ledger, crossing),
            Alarm::Low { agent, .. } => ledger.call_method1("_on_low", (&**agent,)).map(|_| ()),
        };
        if let Err(error) = told {
            error.write_unraisable(ledger.py(), Some(ledger));
        }
    }
}

fn call_on_crossing(ledger: &Bound<'_, PyLedger>, crossing: &Crossing) -> PyResult<()> {
    let py = ledger.py();
    let share = f64::from(crossing.threshold.0) / 1e6;
    let (granted, spent) = (to_decimal(py, crossing.period_granted)?, to_decimal(py, crossing.period_spent)?);
    let is_pool = crossing.kind == Kind::Pool;
    match &crossing.resource {
        None => {
            ledger.call_method1("_on_crossing", (&*crossing.account, is_pool, share, granted, spent))?;
        }
        Some(resource) => {
            // A capacity belongs to no account that anybody registered.
            let agent = (!is_pool).then_some(&*crossing.account);
            ledger.call_method1("_on_resource_crossing", (agent, &**resource, share, granted, spent))?;
        }
    }
    Ok(())
}

/// Thresholds of a ledger, at most: nobody reads a hundred alerts about one budget.
const MAX_THRESHOLDS: usize = 100;

/// Shares of a budget, as millionths.
fn to_thresholds(py: Python<'_>, shares: &[f64]) -> PyResult<Vec<Threshold>> {
    let to_threshold = |share: &f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 10^9")]
        (1e-6..=1000.0).contains(share).then(|| Threshold((share * 1e6).round() as u32))
    };
    let thresholds: Option<Vec<_>> = shares.iter().map(to_threshold).collect();
    thresholds.filter(|thresholds| thresholds.len() <= MAX_THRESHOLDS).ok_or_else(|| {
        let text = format!(
            "thresholds must be at most {MAX_THRESHOLDS} shares of a budget from 0.000001 to 1000, such as 0.8"
        );
        configuration_error(py, text)
    })
}

#[pymethods]
impl PyLedger {
    #[new]
    #[pyo3(signature = (*, clock=None, thresholds=vec![], history_events=64, history_sums=512))]
    fn new(
        py: Python<'_>,
        clock: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = shares)] thresholds: Vec<f64>,
        #[pyo3(from_py_with = whole)] history_events: i64,
        #[pyo3(from_py_with = whole)] history_sums: i64,
    ) -> PyResult<Self> {
        let events = count(py, "history_events", history_events)?;
        let limits = HistoryLimits { events, sums: count(py, "history_sums", history_sums)? };
        let ledger = Ledger::new(clock::extract(clock)?, limits, to_thresholds(py, &thresholds)?);
        Ok(Self { ledger, process: Process::current(py)? })
    }

    // Debits and reservations.

    /// Charges an agent and every pool above it: all of them or none.
    ///
    /// A debit of 0 is admitted and leaves no event.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     amount: how much; more than 9 decimal places are rounded up.
    ///     operation_type: what for; the usage history can be read by it.
    ///     idempotency_key: a repetition with the same key, agent, amount and operation type has no effect
    ///         and the first receipt. The newest 100,000 keys are remembered for 24 hours; refusals are not
    ///         remembered.
    ///
    /// Returns:
    ///     What was charged, what remains, and the position of the event in the agent's history.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     BudgetExceededError: an account on the path cannot pay; nothing was changed.
    ///     RateLimitExceededError: a window of the agent is full; nothing was changed.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///
    /// Example:
    ///     >>> coordinator.debit("bot", "0.25", operation_type="search")
    ///     Receipt(amount=0.25, remaining=0.75, sequence=2)
    ///     >>> coordinator.debit("bot", 5)
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.BudgetExceededError: agent "bot" cannot pay 5: 0.75 of 1 remain...
    #[pyo3(signature = (agent_id, amount, *, operation_type=None, idempotency_key=None))]
    fn debit(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = optional_text)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text)] idempotency_key: Option<&str>,
    ) -> PyResult<PyReceipt> {
        let (this, py) = (slf.get(), slf.py());
        let (core, amount) = (this.core(py)?, charge(amount, "amount")?);
        let operation = operation(this, operation_type);
        let debit = |agent: &Arc<Account>| this.debit_account(agent, amount, operation, idempotency_key);
        let receipt = this.answer(py, core.with_agent(agent_id, debit))?;
        tell_alarms(slf);
        Ok(PyReceipt(receipt))
    }

    /// As `debit`, but tells with a bool whether it was admitted: the form for hot loops.
    ///
    /// Returns:
    ///     True if it was charged; False if a budget or a window refused it, and nothing was changed.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///
    /// Example:
    ///     >>> coordinator.try_debit("bot", "0.70"), coordinator.try_debit("bot", "0.70")
    ///     (True, False)
    #[pyo3(signature = (agent_id, amount, *, operation_type=None, idempotency_key=None))]
    fn try_debit(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = optional_text)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text)] idempotency_key: Option<&str>,
    ) -> PyResult<bool> {
        let (this, py) = (slf.get(), slf.py());
        let (core, amount) = (this.core(py)?, charge(amount, "amount")?);
        let operation = operation(this, operation_type);
        let debit = |agent: &Arc<Account>| this.debit_account(agent, amount, operation, idempotency_key);
        let done = this.answer(py, admitted(core.with_agent(agent_id, debit)))?;
        tell_alarms(slf);
        Ok(done.is_some())
    }

    /// Sets aside the most that a piece of work can cost; settle it for what it did cost.
    ///
    /// As a context manager the reservation is kept alive while the body runs. Leaving the body settles what
    /// was reserved, unless the body settled or released it itself; an exception releases it; a cancelled
    /// task settles `on_cancel`.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     amount: the most it can cost; more than 9 decimal places are rounded up.
    ///     ttl_seconds: seconds until it is given back by itself, above 0.
    ///     overage: what settling for more may do. `"allow_with_overdraft"` charges it, whatever remains:
    ///         what was spent is a fact. `"allow_if_available"` charges it if every account and window has
    ///         room for the excess. `"reject"` refuses it.
    ///     operation_type: what for.
    ///     idempotency_key: a repetition with the same key, agent, amount and operation type returns the same
    ///         reservation.
    ///     on_cancel: what a cancelled `with` block settles for; 0 if not given.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` or `on_cancel` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: `ttl_seconds` or `overage` makes no sense.
    ///     BudgetExceededError: an account on the path cannot pay; nothing was changed.
    ///     RateLimitExceededError: a window of the agent is full; nothing was changed.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///
    /// Example:
    ///     >>> with coordinator.reserve("bot", "0.50") as reservation:
    ///     ...     receipt = reservation.settle("0.20")
    ///     >>> coordinator.get_budget("bot")
    ///     Decimal('0.8')
    #[pyo3(signature = (agent_id, amount, *, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn reserve(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text)] overage: &str,
        #[pyo3(from_py_with = optional_text)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text)] idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyReservation> {
        let (this, py) = (slf.get(), slf.py());
        let core = this.core(py)?;
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, on_cancel)?;
        let reserve = |agent: &Arc<Account>| this.reserve_account(agent, &asked);
        let reservation = this.answer(py, core.with_agent(agent_id, reserve))?;
        tell_alarms(slf);
        Ok(PyReservation::new(slf, reservation, asked.on_cancel))
    }

    /// As `reserve`, but returns None if a budget or a window refuses.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` or `on_cancel` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: `ttl_seconds` or `overage` makes no sense.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///
    /// Example:
    ///     >>> coordinator.try_reserve("bot", 2) is None
    ///     True
    #[pyo3(signature = (agent_id, amount, *, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn try_reserve(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text)] overage: &str,
        #[pyo3(from_py_with = optional_text)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text)] idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<PyReservation>> {
        let (this, py) = (slf.get(), slf.py());
        let core = this.core(py)?;
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, on_cancel)?;
        let reserve = |agent: &Arc<Account>| this.reserve_account(agent, &asked);
        let reservation = this.answer(py, admitted(core.with_agent(agent_id, reserve)))?;
        tell_alarms(slf);
        Ok(reservation.map(|reservation| PyReservation::new(slf, reservation, asked.on_cancel)))
    }

    /// Debits many agents in one call, each in turn, with the interpreter lock released.
    ///
    /// Item i debits the agent of `handles[i]` by `units[i]` billionths, exactly as `try_debit` does. A
    /// malformed item refuses the whole call before anything is charged.
    ///
    /// Args:
    ///     handles: agents by `handle`, shape (n,), dtype uint32, in memory in any layout.
    ///     units: amounts in units of 1e-9, shape (n,), dtype int64, in any layout.
    ///     operation_type: what for.
    ///
    /// Returns:
    ///     Which items were admitted, shape (n,), dtype bool.
    ///
    /// Raises:
    ///     TypeError: not a one-dimensional array of that dtype in native byte order, or one with a mask.
    ///     ConfigurationError: the arrays differ in length, or an amount is negative.
    ///     UnknownAgentError: a handle names no registered agent.
    ///
    /// Example:
    ///     >>> import numpy as np
    ///     >>> handles = np.full(3, coordinator.handle("bot"), dtype=np.uint32)
    ///     >>> coordinator.debit_many(handles, np.array([400_000_000] * 3))
    ///     array([ True,  True, False])
    #[pyo3(signature = (handles, units, *, operation_type=None))]
    fn debit_many<'py>(
        slf: &Bound<'py, Self>,
        handles: &Bound<'py, PyAny>,
        units: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = optional_text)] operation_type: Option<&str>,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let (this, py) = (slf.get(), slf.py());
        let (core, operation) = (this.core(py)?, operation(this, operation_type));
        // Copies: another thread may write to the arrays while the interpreter is let go.
        let (handles, units) = (column(handles, "handles")?, column(units, "units")?);
        let outcome = py.detach(|| core.debit_many(&handles, &units, operation));
        let admitted = this.answer(py, outcome.map_err(|batch| batch.error))?;
        tell_alarms(slf);
        Ok(admitted.into_pyarray(py))
    }

    /// Moves budget from one agent to another, of one pool or of two; the pools are not touched.
    ///
    /// Args:
    ///     from_agent_id: who gives.
    ///     to_agent_id: who gets.
    ///     amount: how much; more than 9 decimal places are rounded down.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: one of the two is not registered.
    ///     ConfigurationError: both are the same agent.
    ///     BudgetExceededError: the giver has less left; nothing was changed.
    ///
    /// Example:
    ///     >>> coordinator.register_agent("helper", "team")
    ///     'helper'
    ///     >>> coordinator.transfer("bot", "helper", "0.40")
    ///     >>> coordinator.get_budget("bot"), coordinator.get_budget("helper")
    ///     (Decimal('0.6'), Decimal('0.4'))
    fn transfer(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] from_agent_id: &str,
        #[pyo3(from_py_with = text)] to_agent_id: &str,
        amount: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let amount = grant(amount, "amount")?;
        self.answer(py, self.core(py)?.transfer(from_agent_id, to_agent_id, amount))
    }

    /// Gives back every reservation whose time to live is over.
    ///
    /// It is never needed for the books to be right: whoever reads an account, or is refused by one, sees
    /// what is due first.
    ///
    /// Returns:
    ///     How many reservations were given back.
    ///
    /// Example:
    ///     >>> coordinator.expire()
    ///     0
    fn expire(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.core(py)?.expire())
    }

    // Accounts.

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
        #[pyo3(from_py_with = optional_text)] timezone: Option<&str>,
    ) -> PyResult<()> {
        let budget = grant(initial_budget, "initial_budget")?;
        let (core, priority) = (self.core(py)?, check_priority(py, priority)?);
        check_id(py, "pool_id", pool_id)?;
        let (period, zone) = (period(budget_period)?, time_zone(py, timezone)?);
        let schedule = period.map(|period| Schedule::new(period, zone, core.clock().wall()));
        let new = NewPool { id: pool_id, parent: parent_id, budget, priority, schedule };
        self.answer(py, core.create_pool(new)).map(|_| ())
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
        self.answer(py, self.core(py)?.register_agent(id, pool_id, priority, budget))?;
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
        self.answer(py, self.core(py)?.unregister_agent(agent_id))
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
        Ok(PyAccount::new(slf, this.answer(py, this.core(py)?.agent(agent_id))?))
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
        self.answer(py, self.core(py)?.handle(agent_id))
    }

    // Budgets.

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
        #[pyo3(from_py_with = text)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core(py)?;
        to_decimal(py, self.answer(py, core.with_agent(agent_id, |agent| core.remaining(agent)))?)
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
        #[pyo3(from_py_with = text)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core(py)?;
        to_decimal(py, self.answer(py, core.with_agent(agent_id, |agent| core.available(agent)))?)
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
        #[pyo3(from_py_with = text)] agent_id: &str,
        budget: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let budget = grant(budget, "budget")?;
        self.answer(py, self.core(py)?.update_budget(agent_id, budget))
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
    ///
    /// Example:
    ///     >>> coordinator.adjust_budget("bot", "0.50"), coordinator.adjust_budget("bot", -2)
    ///     (Decimal('0.5'), Decimal('-1.5'))
    fn adjust_budget<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        change: &Bound<'_, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let change = signed(change, "change")?;
        to_decimal(py, self.answer(py, self.core(py)?.adjust_budget(agent_id, change))?)
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
        #[pyo3(from_py_with = text)] pool_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core(py)?;
        to_decimal(py, self.answer(py, core.pool(pool_id).and_then(|pool| core.remaining(&pool)))?)
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
        #[pyo3(from_py_with = text)] pool_id: &str,
        budget: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let budget = grant(budget, "budget")?;
        self.answer(py, self.core(py)?.update_pool_budget(pool_id, budget))
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
    ///
    /// Example:
    ///     >>> coordinator.adjust_pool_budget("team", "2.50"), coordinator.get_pool_budget("team")
    ///     (Decimal('2.5'), Decimal('12.5'))
    fn adjust_pool_budget<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] pool_id: &str,
        change: &Bound<'_, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let change = signed(change, "change")?;
        to_decimal(py, self.answer(py, self.core(py)?.adjust_pool_budget(pool_id, change))?)
    }

    /// Sets what later periods of a pool begin with. The current period stays as it is.
    ///
    /// Raises:
    ///     InvalidAmountError: `budget` is not an amount.
    ///     UnknownPoolError: no pool of this id exists.
    ///     ConfigurationError: the pool has no `budget_period`.
    ///
    /// Example:
    ///     >>> pool = coordinator.create_budget_pool("daily", 5, budget_period="daily", timezone="UTC")
    ///     >>> coordinator.update_period_budget(pool, 7)
    ///     >>> coordinator.get_pool_budget(pool)
    ///     Decimal('5')
    fn update_period_budget(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] pool_id: &str,
        budget: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let budget = grant(budget, "budget")?;
        self.answer(py, self.core(py)?.set_period_budget(pool_id, budget))
    }

    // Looking.

    /// An agent's priority, 1 to 10.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> coordinator.get_agent_priority("bot")
    ///     5
    fn get_agent_priority(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] agent_id: &str,
    ) -> PyResult<u8> {
        let core = self.core(py)?;
        let snapshot = core.with_agent(agent_id, |agent| core.snapshot(agent));
        Ok(self.answer(py, snapshot)?.priority)
    }

    /// Ids of the agents right below a pool, sorted.
    ///
    /// Raises:
    ///     UnknownPoolError: no pool of this id exists.
    ///
    /// Example:
    ///     >>> coordinator.get_pool_agents("team")
    ///     ['bot']
    fn get_pool_agents(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] pool_id: &str,
    ) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.answer(py, self.core(py)?.members(pool_id, Kind::Agent))?))
    }

    /// Ids of all agents, in no order that means anything.
    ///
    /// Example:
    ///     >>> coordinator.get_all_agent_ids()
    ///     ['bot']
    fn get_all_agent_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.core(py)?.agent_ids()))
    }

    /// Ids of all pools, sorted.
    ///
    /// Example:
    ///     >>> coordinator.get_pool_ids()
    ///     ['team']
    fn get_pool_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.core(py)?.pool_ids()))
    }

    fn _has_pool(&self, py: Python<'_>, #[pyo3(from_py_with = text)] pool_id: &str) -> PyResult<bool> {
        Ok(self.core(py)?.has_pool(pool_id))
    }

    fn _agents_below(&self, py: Python<'_>, #[pyo3(from_py_with = text)] pool_id: &str) -> PyResult<usize> {
        self.answer(py, self.core(py)?.agents_below(pool_id))
    }

    fn _pool_refusals(&self, py: Python<'_>, #[pyo3(from_py_with = text)] pool_id: &str) -> PyResult<u64> {
        self.answer(py, self.core(py)?.refusals(pool_id))
    }

    fn _pool_renewal<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] pool_id: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let renewal = self.answer(py, self.core(py)?.renewal(pool_id))?;
        renewal.map(|renewal| reports::renewal(py, &renewal)).transpose()
    }

    fn _watch_low(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] pool_id: &str,
        low: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let low = low.map(|low| grant(low, "low")).transpose()?;
        self.answer(py, self.core(py)?.watch_low(pool_id, low))
    }

    fn _agent_snapshot<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::snapshot(py, &self.answer(py, core.with_agent(agent_id, |agent| core.snapshot(agent)))?)
    }

    /// spent, remaining, reserved, usages, refusals
    fn _agent_activity<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::activity(py, &self.answer(py, core.with_agent(agent_id, |agent| core.activity(agent)))?)
    }

    fn _pool_snapshot<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] pool_id: &str,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::snapshot(py, &self.answer(py, core.pool(pool_id).and_then(|pool| core.snapshot(&pool)))?)
    }

    fn _usage<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        start: &Bound<'py, PyDateTime>,
        end: &Bound<'py, PyDateTime>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (core, start, end) = (self.core(py)?, from_datetime(start)?, from_datetime(end)?);
        let usage = self.answer(py, core.with_agent(agent_id, |agent| core.usage(agent, start, end)))?;
        usage.iter().map(|usage| reports::usage(py, core, usage)).collect()
    }

    fn _agent_events<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] agent_id: &str,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let events = self.answer(py, core.with_agent(agent_id, |agent| core.events(agent)))?;
        events.iter().map(|event| reports::event(py, core, event)).collect()
    }

    fn _pool_events<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] pool_id: &str,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let events = self.answer(py, core.pool(pool_id).and_then(|pool| core.events(&pool)))?;
        events.iter().map(|event| reports::event(py, core, event)).collect()
    }

    fn _violations(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        let core = self.core(py)?;
        let violations = py.detach(|| core.verify());
        Ok(violations.into_iter().map(|found| (found.account.to_string(), found.text)).collect())
    }
}

fn shares(value: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    value.try_iter()?.map(|share| real(&share?)).collect()
}
