//! The ledger as Python sees it. `BudgetCoordinator` inherits these methods, so that a hot call passes through
//! no Python code.

use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyTuple};
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{
    Account, Crossing, HistoryLimits, Kind, Ledger, LedgerError, NewPool, OperationId, Receipt, Schedule,
    Threshold,
};

use crate::account::PyAccount;
use crate::amount::{charge, grant, to_decimal};
use crate::arguments::{Asked, check_id, check_priority, operation, period, time_zone};
use crate::clock::{self, from_datetime};
use crate::error::{configuration_error, to_py};
use crate::fork::Process;
use crate::receipt::PyReceipt;
use crate::reports;
use crate::reservation::{Held, PyReservation};

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
        outcome.map_err(|error| to_py(py, error, self.ledger.clock()))
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

/// Calls `_on_crossing` of the coordinator for each threshold that was crossed. Never fails a debit.
#[inline]
pub(crate) fn tell_crossings(ledger: &Bound<'_, PyLedger>) {
    if ledger.get().ledger.has_crossings() {
        call_on_crossings(ledger);
    }
}

#[cold]
fn call_on_crossings(ledger: &Bound<'_, PyLedger>) {
    for crossing in ledger.get().ledger.take_crossings() {
        if let Err(error) = call_on_crossing(ledger, &crossing) {
            error.write_unraisable(ledger.py(), Some(ledger));
        }
    }
}

fn call_on_crossing(ledger: &Bound<'_, PyLedger>, crossing: &Crossing) -> PyResult<()> {
    let py = ledger.py();
    let share = f64::from(crossing.threshold.0) / 1e6;
    let (granted, spent) = (to_decimal(py, crossing.period_granted)?, to_decimal(py, crossing.period_spent)?);
    ledger.call_method1(
        "_on_crossing",
        (&*crossing.account, crossing.kind == Kind::Pool, share, granted, spent),
    )?;
    Ok(())
}

/// Shares of a budget, as millionths.
fn to_thresholds(py: Python<'_>, shares: &[f64]) -> PyResult<Vec<Threshold>> {
    let to_threshold = |share: &f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 10^9")]
        (0.0 < *share && *share <= 1000.0).then(|| Threshold((share * 1e6).round() as u32))
    };
    let thresholds: Option<Vec<_>> = shares.iter().map(to_threshold).collect();
    thresholds
        .ok_or_else(|| configuration_error(py, "thresholds must be shares of a budget above 0, such as 0.8"))
}

#[pymethods]
impl PyLedger {
    #[new]
    #[pyo3(signature = (*, clock=None, thresholds=vec![], history_events=128, history_sums=512))]
    fn new(
        py: Python<'_>,
        clock: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = shares)] thresholds: Vec<f64>,
        history_events: usize,
        history_sums: usize,
    ) -> PyResult<Self> {
        let limits = HistoryLimits { events: history_events, sums: history_sums };
        let ledger = Ledger::new(clock::extract(clock)?, limits, to_thresholds(py, &thresholds)?);
        Ok(Self { ledger, process: Process::current(py)? })
    }

    // Debits and reservations.

    #[pyo3(signature = (agent_id, amount, *, operation_type=None, idempotency_key=None))]
    fn debit(
        slf: &Bound<'_, Self>,
        agent_id: &str,
        amount: &Bound<'_, PyAny>,
        operation_type: Option<&str>,
        idempotency_key: Option<&str>,
    ) -> PyResult<PyReceipt> {
        let (this, py) = (slf.get(), slf.py());
        let (core, amount) = (this.core(py)?, charge(amount, "amount")?);
        let operation = operation(this, operation_type);
        let debit = |agent: &Arc<Account>| this.debit_account(agent, amount, operation, idempotency_key);
        let receipt = this.answer(py, core.with_agent(agent_id, debit))?;
        tell_crossings(slf);
        Ok(PyReceipt(receipt))
    }

    #[pyo3(signature = (agent_id, amount, *, operation_type=None, idempotency_key=None))]
    fn try_debit(
        slf: &Bound<'_, Self>,
        agent_id: &str,
        amount: &Bound<'_, PyAny>,
        operation_type: Option<&str>,
        idempotency_key: Option<&str>,
    ) -> PyResult<bool> {
        let (this, py) = (slf.get(), slf.py());
        let (core, amount) = (this.core(py)?, charge(amount, "amount")?);
        let operation = operation(this, operation_type);
        let debit = |agent: &Arc<Account>| this.debit_account(agent, amount, operation, idempotency_key);
        let done = this.answer(py, admitted(core.with_agent(agent_id, debit)))?;
        tell_crossings(slf);
        Ok(done.is_some())
    }

    #[pyo3(signature = (agent_id, amount, *, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn reserve(
        slf: &Bound<'_, Self>,
        agent_id: &str,
        amount: &Bound<'_, PyAny>,
        ttl_seconds: f64,
        overage: &str,
        operation_type: Option<&str>,
        idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyReservation> {
        let (this, py) = (slf.get(), slf.py());
        let core = this.core(py)?;
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, on_cancel)?;
        let reserve = |agent: &Arc<Account>| this.reserve_account(agent, &asked);
        let reservation = this.answer(py, core.with_agent(agent_id, reserve))?;
        Ok(PyReservation::new(slf, reservation, asked.on_cancel))
    }

    #[pyo3(signature = (agent_id, amount, *, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn try_reserve(
        slf: &Bound<'_, Self>,
        agent_id: &str,
        amount: &Bound<'_, PyAny>,
        ttl_seconds: f64,
        overage: &str,
        operation_type: Option<&str>,
        idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<PyReservation>> {
        let (this, py) = (slf.get(), slf.py());
        let core = this.core(py)?;
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, on_cancel)?;
        let reserve = |agent: &Arc<Account>| this.reserve_account(agent, &asked);
        let reservation = this.answer(py, admitted(core.with_agent(agent_id, reserve)))?;
        Ok(reservation.map(|reservation| PyReservation::new(slf, reservation, asked.on_cancel)))
    }

    #[pyo3(signature = (handles, units, *, operation_type=None))]
    fn debit_many<'py>(
        slf: &Bound<'py, Self>,
        handles: PyReadonlyArray1<'py, u32>,
        units: PyReadonlyArray1<'py, i64>,
        operation_type: Option<&str>,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let (this, py) = (slf.get(), slf.py());
        let (core, operation) = (this.core(py)?, operation(this, operation_type));
        // Copies: another thread may write to the arrays while the interpreter is let go.
        let (handles, units) = (handles.as_array().to_vec(), units.as_array().to_vec());
        if handles.len() != units.len() {
            let text =
                format!("handles has {} items and units {}: they must match", handles.len(), units.len());
            return Err(configuration_error(py, text));
        }
        let outcome = py.detach(|| core.debit_many(&handles, &units, operation));
        let admitted = this.answer(py, outcome.map_err(|batch| batch.error))?;
        tell_crossings(slf);
        Ok(admitted.into_pyarray(py))
    }

    fn transfer(
        &self,
        py: Python<'_>,
        from_agent_id: &str,
        to_agent_id: &str,
        amount: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let amount = grant(amount, "amount")?;
        self.answer(py, self.core(py)?.transfer(from_agent_id, to_agent_id, amount))
    }

    fn expire(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.core(py)?.expire())
    }

    // Accounts.

    #[pyo3(signature = (pool_id, initial_budget, priority, parent_id, period_name, period_nanos, timezone))]
    #[expect(clippy::too_many_arguments, reason = "what create_budget_pool was asked for")]
    fn _create_pool(
        &self,
        py: Python<'_>,
        pool_id: &str,
        initial_budget: &Bound<'_, PyAny>,
        priority: i64,
        parent_id: Option<&str>,
        period_name: Option<&str>,
        period_nanos: Option<i64>,
        timezone: Option<&str>,
    ) -> PyResult<()> {
        let budget = grant(initial_budget, "initial_budget")?;
        let (core, priority) = (self.core(py)?, check_priority(py, priority)?);
        check_id(py, "pool_id", pool_id)?;
        let (period, zone) = (period(py, period_name, period_nanos)?, time_zone(py, timezone)?);
        let schedule = period.map(|period| Schedule::new(period, zone, core.clock().wall()));
        let new = NewPool { id: pool_id, parent: parent_id, budget, priority, schedule };
        self.answer(py, core.create_pool(new)).map(|_| ())
    }

    #[pyo3(signature = (agent_id, pool_id, priority=5, initial_budget=None))]
    fn register_agent<'py>(
        &self,
        agent_id: Bound<'py, pyo3::types::PyString>,
        pool_id: &str,
        priority: i64,
        initial_budget: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, pyo3::types::PyString>> {
        let py = agent_id.py();
        let budget = initial_budget.map_or(Ok(Amount::ZERO), |budget| grant(budget, "initial_budget"))?;
        check_id(py, "agent_id", agent_id.to_str()?)?;
        let priority = check_priority(py, priority)?;
        self.answer(py, self.core(py)?.register_agent(agent_id.to_str()?, pool_id, priority, budget))?;
        Ok(agent_id)
    }

    fn unregister_agent(&self, py: Python<'_>, agent_id: &str) -> PyResult<()> {
        self.answer(py, self.core(py)?.unregister_agent(agent_id))
    }

    fn account(slf: &Bound<'_, Self>, agent_id: &str) -> PyResult<PyAccount> {
        let (this, py) = (slf.get(), slf.py());
        Ok(PyAccount::new(slf, this.answer(py, this.core(py)?.agent(agent_id))?))
    }

    fn handle(&self, py: Python<'_>, agent_id: &str) -> PyResult<u32> {
        self.answer(py, self.core(py)?.handle(agent_id))
    }

    // Budgets.

    fn get_budget<'py>(&self, py: Python<'py>, agent_id: &str) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core(py)?;
        to_decimal(py, self.answer(py, core.with_agent(agent_id, |agent| core.remaining(agent)))?)
    }

    fn get_available<'py>(&self, py: Python<'py>, agent_id: &str) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core(py)?;
        to_decimal(py, self.answer(py, core.with_agent(agent_id, |agent| core.available(agent)))?)
    }

    fn update_budget(&self, py: Python<'_>, agent_id: &str, budget: &Bound<'_, PyAny>) -> PyResult<()> {
        let budget = grant(budget, "budget")?;
        self.answer(py, self.core(py)?.update_budget(agent_id, budget))
    }

    fn get_pool_budget<'py>(&self, py: Python<'py>, pool_id: &str) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core(py)?;
        to_decimal(py, self.answer(py, core.pool(pool_id).and_then(|pool| core.remaining(&pool)))?)
    }

    fn update_pool_budget(&self, py: Python<'_>, pool_id: &str, budget: &Bound<'_, PyAny>) -> PyResult<()> {
        let budget = grant(budget, "budget")?;
        self.answer(py, self.core(py)?.update_pool_budget(pool_id, budget))
    }

    fn update_period_budget(&self, py: Python<'_>, pool_id: &str, budget: &Bound<'_, PyAny>) -> PyResult<()> {
        let budget = grant(budget, "budget")?;
        self.answer(py, self.core(py)?.set_period_budget(pool_id, budget))
    }

    // Looking.

    fn get_agent_priority(&self, py: Python<'_>, agent_id: &str) -> PyResult<u8> {
        let core = self.core(py)?;
        let snapshot = core.with_agent(agent_id, |agent| core.snapshot(agent));
        Ok(self.answer(py, snapshot)?.priority)
    }

    fn get_pool_agents(&self, py: Python<'_>, pool_id: &str) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.answer(py, self.core(py)?.members(pool_id, Kind::Agent))?))
    }

    fn get_all_agent_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.core(py)?.agent_ids()))
    }

    fn get_pool_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.core(py)?.pool_ids()))
    }

    fn _has_pool(&self, py: Python<'_>, pool_id: &str) -> PyResult<bool> {
        Ok(self.core(py)?.has_pool(pool_id))
    }

    fn _agent_snapshot<'py>(&self, py: Python<'py>, agent_id: &str) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::snapshot(py, &self.answer(py, core.with_agent(agent_id, |agent| core.snapshot(agent)))?)
    }

    fn _pool_snapshot<'py>(&self, py: Python<'py>, pool_id: &str) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::snapshot(py, &self.answer(py, core.pool(pool_id).and_then(|pool| core.snapshot(&pool)))?)
    }

    fn _usage<'py>(
        &self,
        py: Python<'py>,
        agent_id: &str,
        start: &Bound<'py, PyDateTime>,
        end: &Bound<'py, PyDateTime>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (core, start, end) = (self.core(py)?, from_datetime(start)?, from_datetime(end)?);
        let usage = self.answer(py, core.with_agent(agent_id, |agent| core.usage(agent, start, end)))?;
        usage.iter().map(|usage| reports::usage(py, core, usage)).collect()
    }

    fn _agent_events<'py>(&self, py: Python<'py>, agent_id: &str) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let events = self.answer(py, core.with_agent(agent_id, |agent| core.events(agent)))?;
        events.iter().map(|event| reports::event(py, core, event)).collect()
    }

    fn _pool_events<'py>(&self, py: Python<'py>, pool_id: &str) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let events = self.answer(py, core.pool(pool_id).and_then(|pool| core.events(&pool)))?;
        events.iter().map(|event| reports::event(py, core, event)).collect()
    }

    fn _violations(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        let core = self.core(py)?;
        let violations = py.detach(|| core.verify());
        Ok(violations.into_iter().map(|found| (found.account.to_string(), found.text)).collect())
    }

    fn _now<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        clock::to_datetime(py, self.core(py)?.clock().wall())
    }
}

fn shares(value: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    value.try_iter()?.map(|share| share?.extract()).collect()
}
