//! The ledger as Python sees it. `BudgetCoordinator` inherits these methods, so that a hot call passes through
//! no Python code.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1};
use parking_lot::Mutex;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyTuple, PyWeakrefMethods, PyWeakrefReference};
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{
    Account, Alarm, Crossing, HistoryLimits, Joint, Kind, Ledger, LedgerError, NewPool, OperationId, Path,
    Receipt, Reservation, Threshold,
};

use crate::account::PyAccount;
use crate::amount::{charge, grant, signed, to_decimal};
use crate::arguments::{
    Also, Asked, check_id, check_priority, count, maybe_also, operation, optional_text, period, priority,
    real, text, ttl_seconds, whole,
};
use crate::array::column;
use crate::clock::{self, from_datetime};
use crate::error::{configuration_error, to_py};
use crate::fork::Process;
use crate::patience::{at_length, let_go, patiently, until_interrupted};
use crate::receipt::PyReceipt;
use crate::reports;
use crate::reservation::PyReservation;
use crate::time_zones;

/// The books behind `BudgetCoordinator`, which inherits every method from here.
///
/// Examples of its methods start from a `coordinator` with the agent `"bot"` (1.00) in the pool `"team"`
/// (10.00).
///
/// Args:
///     clock: where to read the time; the system's clocks if not given.
///     thresholds: shares of a budget whose crossing is told, up to 1; at most 100.
///     history_events: latest events of each agent that are kept as they were, at most; at least three
///         quarters of so many.
///     history_sums: sums by hour that are kept of older usage, at least 2.
#[pyclass(frozen, subclass, weakref, module = "safeguards._native", name = "Ledger")]
pub(crate) struct PyLedger {
    books: Arc<Books>,
    /// This object, for those who must not keep it alive.
    owner: PyOnceLock<Py<PyWeakrefReference>>,
}

/// What of a ledger is no Python object: reservations hold on to it, and so to nothing that the cycle collector would
/// have to look at.
pub(crate) struct Books {
    pub(crate) ledger: Ledger,
    process: Process,
    /// Handles of those reservations that may have several.
    shared: Mutex<HashMap<(u32, u64), usize>>,
}

impl Deref for PyLedger {
    type Target = Books;

    #[inline]
    fn deref(&self) -> &Books {
        &self.books
    }
}

impl PyLedger {
    pub(crate) const fn books(&self) -> &Arc<Books> {
        &self.books
    }

    /// The books, and a weak reference to the object that has them.
    #[inline]
    pub(crate) fn share_books(slf: &Bound<'_, Self>) -> PyResult<(Arc<Books>, Py<PyWeakrefReference>)> {
        let (this, py) = (slf.get(), slf.py());
        let owner =
            this.owner.get_or_try_init(py, || PyWeakrefReference::new(slf.as_any()).map(Bound::unbind))?;
        Ok((Arc::clone(&this.books), owner.clone_ref(py)))
    }
}

impl Books {
    /// The core, if this is the process that it was made in.
    #[inline]
    pub(crate) fn core(&self, py: Python<'_>) -> PyResult<&Ledger> {
        self.process.check(py)?;
        Ok(&self.ledger)
    }

    /// Asks the core of this process, without the interpreter if it may take a while to answer.
    #[inline]
    pub(crate) fn ask<R: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&Ledger) -> R + Send,
    ) -> PyResult<R> {
        let core = self.core(py)?;
        Ok(patiently(py, core, || question(core)))
    }

    /// What the core answered, or the exception that says why not.
    #[inline]
    pub(crate) fn answer<R>(&self, py: Python<'_>, outcome: Result<R, LedgerError>) -> PyResult<R> {
        outcome.map_err(|error| to_py(py, error, &self.ledger))
    }

    /// Charges an agent, and what stands beside it.
    #[inline]
    pub(crate) fn debit_account(
        &self,
        agent: &Arc<Account>,
        also: Option<&Also>,
        amount: Amount,
        operation: OperationId,
        key: Option<&str>,
    ) -> Result<Receipt, LedgerError> {
        let joint = also.map_or(Ok(None), |also| self.joint(agent, also))?;
        let path = Path::with(agent, joint.as_ref());
        match key {
            None => self.ledger.debit(path, &amount, operation),
            Some(key) => self.ledger.debit_keyed(path, &amount, operation, key),
        }
    }

    #[inline]
    pub(crate) fn reserve_account(
        &self,
        agent: &Arc<Account>,
        asked: &Asked<'_>,
    ) -> Result<Reservation, LedgerError> {
        let joint = asked.also.as_ref().map_or(Ok(None), |also| self.joint(agent, also))?;
        let path = Path::with(agent, joint.as_ref());
        match asked.key {
            None => self.ledger.reserve(path, &asked.request),
            Some(key) => self.ledger.reserve_keyed(path, &asked.request, key),
        }
    }

    #[cold]
    fn joint(&self, agent: &Arc<Account>, also: &Also) -> Result<Option<Arc<Joint>>, LedgerError> {
        let ids: Vec<&str> = also.iter().map(|id| &**id).collect();
        self.ledger.joint(agent, &ids)
    }

    /// Counts a handle of a reservation that may have others.
    pub(crate) fn share<Q>(&self, reservation: &Reservation<Q>) {
        *self.shared.lock().entry(place(reservation)).or_default() += 1;
    }

    /// Counts one less; true if it was the last.
    pub(crate) fn unshare<Q>(&self, reservation: &Reservation<Q>) -> bool {
        let mut shared = self.shared.lock();
        let Some(handles) = shared.get_mut(&place(reservation)) else { return true };
        *handles -= 1;
        let is_last = *handles == 0;
        if is_last {
            shared.remove(&place(reservation));
        }
        is_last
    }
}

/// What tells a reservation from all others of a ledger.
fn place<Q>(reservation: &Reservation<Q>) -> (u32, u64) {
    (reservation.agent().number().0, reservation.number())
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

/// Calls `_on_crossing` or `_on_low` of the coordinator for each alarm, after the books are written. An `Exception`
/// never fails a debit. What ends a program, such as `KeyboardInterrupt`, is raised when all alarms are told.
#[inline]
pub(crate) fn tell_alarms(ledger: &Bound<'_, PyLedger>) -> PyResult<()> {
    if ledger.get().ledger.has_alarms() { call_on_alarms(ledger) } else { Ok(()) }
}

/// As [`tell_alarms`], for an owner who may be gone: then nobody is told.
#[inline]
pub(crate) fn tell_alarms_of(books: &Books, owner: &Bound<'_, PyWeakrefReference>) -> PyResult<()> {
    if !books.ledger.has_alarms() {
        return Ok(());
    }
    let ledger = owner.upgrade_as::<PyLedger>()?;
    ledger.map_or(Ok(()), |ledger| call_on_alarms(&ledger))
}

#[cold]
fn call_on_alarms(ledger: &Bound<'_, PyLedger>) -> PyResult<()> {
    let py = ledger.py();
    let mut ended = Ok(());
    for alarm in ledger.get().ledger.take_alarms() {
        let told = match &alarm {
            Alarm::Crossing(crossing) => call_on_crossing(ledger, crossing),
            Alarm::Low { agent, .. } => ledger.call_method1("_on_low", (&**agent,)).map(|_| ()),
        };
        match told {
            Err(error) if ended.is_ok() && !error.is_instance_of::<PyException>(py) => ended = Err(error),
            Err(error) => error.write_unraisable(py, Some(ledger)),
            Ok(()) => (),
        }
    }
    ended
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
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 10^6")]
        (1e-6..=1.0).contains(share).then(|| Threshold((share * 1e6).round() as u32))
    };
    let thresholds: Option<Vec<_>> = shares.iter().map(to_threshold).collect();
    thresholds.filter(|thresholds| thresholds.len() <= MAX_THRESHOLDS).ok_or_else(|| {
        let text = format!(
            "thresholds must be at most {MAX_THRESHOLDS} shares of a budget from 0.000001 to 1, such as 0.8"
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
        let ledger =
            Ledger::new(clock::extract(clock)?, limits, to_thresholds(py, &thresholds)?).letting_go(let_go);
        let books = Books { ledger, process: Process::current(py)?, shared: Mutex::default() };
        Ok(Self { books: Arc::new(books), owner: PyOnceLock::new() })
    }

    // Debits and reservations.

    /// Charges an agent and every pool above it: all of them or none.
    ///
    /// A debit of 0 is admitted and leaves no event.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     amount: how much; more than 9 decimal places are rounded up.
    ///     also: ids of agents or pools that are charged as well, each with every account above it: all or
    ///         none, and one that is met twice once.
    ///     operation_type: what for, at most 256 bytes; the usage history can be read by it.
    ///     idempotency_key: of at most 256 bytes; a repetition with the same key, agent, amount and operation
    ///         type has no effect and the first receipt. The newest 100,000 keys are remembered for 24 hours;
    ///         refusals are not remembered.
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
    #[pyo3(signature = (agent_id, amount, *, also=None, operation_type=None, idempotency_key=None))]
    fn debit(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text)] idempotency_key: Option<&str>,
    ) -> PyResult<PyReceipt> {
        let (this, py) = (slf.get(), slf.py());
        let (core, amount) = (this.core(py)?, charge(amount, "amount")?);
        let operation = operation(this, py, operation_type)?;
        let also = maybe_also(also)?;
        let debit = |agent: &Arc<Account>| {
            this.debit_account(agent, also.as_ref(), amount, operation, idempotency_key)
        };
        let receipt = this.answer(py, patiently(py, core, || core.with_agent(agent_id, debit)))?;
        tell_alarms(slf)?;
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
    #[pyo3(signature = (agent_id, amount, *, also=None, operation_type=None, idempotency_key=None))]
    fn try_debit(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = optional_text)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text)] idempotency_key: Option<&str>,
    ) -> PyResult<bool> {
        let (this, py) = (slf.get(), slf.py());
        let (core, amount) = (this.core(py)?, charge(amount, "amount")?);
        let operation = operation(this, py, operation_type)?;
        let also = maybe_also(also)?;
        let debit = |agent: &Arc<Account>| {
            this.debit_account(agent, also.as_ref(), amount, operation, idempotency_key)
        };
        let done = this.answer(py, admitted(patiently(py, core, || core.with_agent(agent_id, debit))))?;
        tell_alarms(slf)?;
        Ok(done.is_some())
    }

    /// Sets aside the most that a piece of work can cost; settle it for what it did cost.
    ///
    /// As a context manager the reservation is kept alive while the body runs. Leaving the body settles what
    /// was reserved, unless the body settled or released it itself; an exception releases it; a cancelled
    /// task settles `on_cancel`, or, if that is refused, as much of it as was reserved. Nothing takes the
    /// place of the exception: what was refused is noted on it.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     amount: the most it can cost; more than 9 decimal places are rounded up.
    ///     also: ids of agents or pools that are charged as well, each with every account above it: all or
    ///         none, and one that is met twice once.
    ///     ttl_seconds: seconds until it is given back by itself, above 0.
    ///     overage: what settling for more may do. `"allow_with_overdraft"` charges it, whatever remains:
    ///         what was spent is a fact. `"allow_if_available"` charges it if every account and window has
    ///         room for the excess. `"reject"` refuses it.
    ///     operation_type: what for, at most 256 bytes.
    ///     idempotency_key: of at most 256 bytes; a repetition with the same key, agent, amount and operation
    ///         type returns the same reservation.
    ///     on_cancel: what a cancelled `with` block settles for; 0 if not given.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` or `on_cancel` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
    ///         `on_cancel` is more than is reserved under `"reject"`, or a name or key is longer than 256
    ///         bytes.
    ///     BudgetExceededError: an account on the path cannot pay; nothing was changed.
    ///     RateLimitExceededError: a window of the agent is full; nothing was changed.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///
    /// Example:
    ///     >>> with coordinator.reserve("bot", "0.50") as reservation:
    ///     ...     receipt = reservation.settle("0.20")
    ///     >>> coordinator.get_budget("bot")
    ///     Decimal('0.8')
    #[pyo3(signature = (agent_id, amount, *, also=None, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn reserve(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text)] overage: &str,
        #[pyo3(from_py_with = optional_text)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text)] idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyReservation> {
        let (this, py) = (slf.get(), slf.py());
        let core = this.core(py)?;
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, on_cancel, also)?;
        let reserve = |agent: &Arc<Account>| this.reserve_account(agent, &asked);
        let reservation = this.answer(py, patiently(py, core, || core.with_agent(agent_id, reserve)))?;
        PyReservation::new(slf, reservation, asked.on_cancel, asked.key.is_some())?
            .once_told(py, tell_alarms(slf))
    }

    /// As `reserve`, but returns None if a budget or a window refuses.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` or `on_cancel` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
    ///         `on_cancel` is more than is reserved under `"reject"`, or a name or key is longer than 256
    ///         bytes.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///
    /// Example:
    ///     >>> coordinator.try_reserve("bot", 2) is None
    ///     True
    #[pyo3(signature = (agent_id, amount, *, also=None, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn try_reserve(
        slf: &Bound<'_, Self>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        amount: &Bound<'_, PyAny>,
        also: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text)] overage: &str,
        #[pyo3(from_py_with = optional_text)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text)] idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<PyReservation>> {
        let (this, py) = (slf.get(), slf.py());
        let core = this.core(py)?;
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, on_cancel, also)?;
        let reserve = |agent: &Arc<Account>| this.reserve_account(agent, &asked);
        let reservation =
            this.answer(py, admitted(patiently(py, core, || core.with_agent(agent_id, reserve))))?;
        let told = tell_alarms(slf);
        let Some(made) = reservation else { return told.map(|()| None) };
        PyReservation::new(slf, made, asked.on_cancel, asked.key.is_some())?.once_told(py, told).map(Some)
    }

    /// Debits many agents in one call, each in turn, with the interpreter lock released.
    ///
    /// Item i debits the agent of `handles[i]` by `units[i]` billionths, exactly as `try_debit` does. A
    /// malformed item refuses the whole call before anything is charged. An agent that is unregistered while
    /// the call is under way is charged nothing from then on.
    ///
    /// Signals are handled meanwhile, as Ctrl-C. What their handler raises ends the call between two items:
    /// what was charged by then stays charged, and the exception has an attribute `admitted`, which tells it
    /// as the result would, for as many items as were done.
    ///
    /// Args:
    ///     handles: agents by `handle`, shape (n,), dtype uint32, in memory in any layout.
    ///     units: amounts in units of 1e-9, shape (n,), dtype int64, in any layout.
    ///     operation_type: what for, at most 256 bytes.
    ///
    /// Returns:
    ///     Which items were admitted, shape (n,), dtype bool.
    ///
    /// Raises:
    ///     TypeError: not a one-dimensional array of that dtype in native byte order, or one with a mask.
    ///     ConfigurationError: the arrays differ in length, or an amount is negative.
    ///     UnknownAgentError: a handle names no registered agent.
    ///     KeyboardInterrupt: Ctrl-C ended it after the first `len(error.admitted)` items.
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
        let (core, operation) = (this.core(py)?, operation(this, py, operation_type)?);
        // Copies: another thread may write to the arrays while the interpreter is let go.
        let (handles, units) = (column(handles, "handles")?, column(units, "units")?);
        let (outcome, interrupt) = until_interrupted(py, core, |signals| {
            core.debit_many_while(&handles, &units, operation, || signals.may())
        });
        let admitted = this.answer(py, outcome.map_err(|batch| batch.error))?;
        let told = tell_alarms(slf);
        let done = admitted.len();
        let admitted = admitted.into_pyarray(py);
        match interrupt.or(told.err()) {
            None => Ok(admitted),
            Some(raised) => Err(with_admitted(raised, &admitted, done, handles.len())),
        }
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
    ///     ConfigurationError: both are the same agent, or the taker would have more than 10^15 left.
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
        self.answer(py, self.ask(py, |core| core.transfer(from_agent_id, to_agent_id, amount))?)
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
        let core = self.core(py)?;
        let (expired, interrupt) = until_interrupted(py, core, |signals| core.expire_while(|| signals.may()));
        interrupt.map_or(Ok(expired), Err)
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
        #[pyo3(from_py_with = text)] agent_id: &str,
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
        #[pyo3(from_py_with = text)] agent_id: &str,
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
        #[pyo3(from_py_with = text)] agent_id: &str,
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
        #[pyo3(from_py_with = text)] pool_id: &str,
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
        #[pyo3(from_py_with = text)] pool_id: &str,
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
        #[pyo3(from_py_with = text)] pool_id: &str,
        change: &Bound<'_, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let change = signed(change, "change")?;
        to_decimal(py, self.answer(py, self.ask(py, |core| core.adjust_pool_budget(pool_id, change))?)?)
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
        self.answer(py, self.ask(py, |core| core.set_period_budget(pool_id, budget))?)
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
        let snapshot = patiently(py, core, || core.with_agent(agent_id, |agent| core.snapshot(agent)));
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
        Ok(reports::strings(self.answer(py, self.ask(py, |core| core.members(pool_id, Kind::Agent))?)?))
    }

    /// Ids of all agents, in no order that means anything.
    ///
    /// Example:
    ///     >>> coordinator.get_all_agent_ids()
    ///     ['bot']
    fn get_all_agent_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.ask(py, Ledger::agent_ids)?))
    }

    /// Ids of all pools, sorted.
    ///
    /// Example:
    ///     >>> coordinator.get_pool_ids()
    ///     ['team']
    fn get_pool_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.ask(py, Ledger::pool_ids)?))
    }

    /// Refuses in every process but the one that it was made in.
    fn _check_process(&self, py: Python<'_>) -> PyResult<()> {
        self.process.check(py)
    }

    fn _has_pool(&self, py: Python<'_>, #[pyo3(from_py_with = text)] pool_id: &str) -> PyResult<bool> {
        Ok(self.core(py)?.has_pool(pool_id))
    }

    fn _pin(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] account_id: &str,
        is_pinned: bool,
    ) -> PyResult<()> {
        self.answer(py, self.ask(py, |core| core.pin(account_id, is_pinned))?)
    }

    fn _is_pinned(&self, py: Python<'_>, #[pyo3(from_py_with = text)] account_id: &str) -> PyResult<bool> {
        Ok(self.core(py)?.is_pinned(account_id))
    }

    fn _pinned(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.core(py)?.pinned()))
    }

    fn _agents_below(&self, py: Python<'_>, #[pyo3(from_py_with = text)] pool_id: &str) -> PyResult<usize> {
        self.answer(py, self.ask(py, |core| core.agents_below(pool_id))?)
    }

    fn _pool_refusals(&self, py: Python<'_>, #[pyo3(from_py_with = text)] pool_id: &str) -> PyResult<u64> {
        self.answer(py, self.ask(py, |core| core.refusals(pool_id))?)
    }

    fn _pool_renewal<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] pool_id: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let renewal = self.answer(py, self.ask(py, |core| core.renewal(pool_id))?)?;
        renewal.map(|renewal| reports::renewal(py, &renewal)).transpose()
    }

    fn _watch_low(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] pool_id: &str,
        low: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let low = low.map(|low| grant(low, "low")).transpose()?;
        let core = self.core(py)?;
        self.answer(py, at_length(py, core, || core.watch_low(pool_id, low)))
    }

    fn _agent_snapshot<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::snapshot(
            py,
            &self.answer(
                py,
                patiently(py, core, || core.with_agent(agent_id, |agent| core.snapshot(agent))),
            )?,
        )
    }

    /// spent, remaining, reserved, usages, refusals
    fn _agent_activity<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::activity(
            py,
            &self.answer(
                py,
                patiently(py, core, || core.with_agent(agent_id, |agent| core.activity(agent))),
            )?,
        )
    }

    fn _pool_snapshot<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] pool_id: &str,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::snapshot(
            py,
            &self.answer(
                py,
                patiently(py, core, || core.pool(pool_id).and_then(|pool| core.snapshot(&pool))),
            )?,
        )
    }

    fn _usage<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        start: &Bound<'py, PyDateTime>,
        end: &Bound<'py, PyDateTime>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (core, start, end) = (self.core(py)?, from_datetime(start)?, from_datetime(end)?);
        let usage = self.answer(
            py,
            patiently(py, core, || core.with_agent(agent_id, |agent| core.usage(agent, start, end))),
        )?;
        usage.iter().map(|usage| reports::usage(py, core, usage)).collect()
    }

    fn _agent_events<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] agent_id: &str,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let events =
            self.answer(py, patiently(py, core, || core.with_agent(agent_id, |agent| core.events(agent))))?;
        events.iter().map(|event| reports::event(py, core, event)).collect()
    }

    fn _pool_events<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text)] pool_id: &str,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let events =
            self.answer(py, patiently(py, core, || core.pool(pool_id).and_then(|pool| core.events(&pool))))?;
        events.iter().map(|event| reports::event(py, core, event)).collect()
    }

    fn _violations(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        let core = self.core(py)?;
        let (violations, interrupt) =
            until_interrupted(py, core, |signals| core.verify_while(|| signals.may()));
        interrupt.map_or(Ok(()), Err)?;
        Ok(violations.into_iter().map(|found| (found.account.to_string(), found.text)).collect())
    }
}

/// Tells with an exception that interrupted a batch how far it has come.
fn with_admitted(raised: PyErr, admitted: &Bound<'_, PyArray1<bool>>, done: usize, items: usize) -> PyErr {
    let py = admitted.py();
    let note = format!(
        "debit_many was interrupted after {done} of {items} items: `admitted` of this exception tells which of \
         them were charged; the others were not looked at"
    );
    let value = raised.value(py);
    let told = value.setattr("admitted", admitted).and_then(|()| value.call_method1("add_note", (note,)));
    if let Err(error) = told {
        error.write_unraisable(py, Some(value));
    }
    raised
}

fn shares(value: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    value.try_iter()?.map(|share| real(&share?)).collect()
}
