//! The ledger as Python sees it. `BudgetCoordinator` inherits these methods, so that a hot call passes through
//! no Python code.

mod accounts;
mod alarms;
mod batches;
mod budgets;
mod credits;
mod life;
mod look;
mod refunds;
mod reservations;
mod spend;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyWeakrefReference;
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{
    Account, HistoryLimits, Joint, Ledger, LedgerError, Once, OperationId, Path, Receipt, Reservation,
    Threshold,
};

use crate::arguments::{Also, Asked, count, named_whole, number, optional_whole, quoted, real, text};
use crate::clock;
use crate::error::{configuration_error, seconds, to_py};
use crate::fork::Process;
use crate::patience::{let_go, patiently};
use crate::waiting::PyTender;

pub(crate) use alarms::{answer_told, tell_alarms, tell_alarms_of};

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
///     currency: what its amounts are amounts of, such as `"USD"`: 1 to 16 letters, digits, `.`, `_` or `-`.
///     patience: seconds for which others pass a call that waits and does not fit; then what comes back is
///         kept for it.
///     observer: who is told of alarms, after the books are written: by `on_crossing(**facts)` of a
///         threshold that was crossed, by `on_low(agent_id)` of an agent that runs low, and by
///         `on_refusing(**facts)` of an account that refuses often. Nobody if not given.
///     refusals_per_minute: an account that refuses more often than that is told of; none is if not given.
#[pyclass(frozen, subclass, weakref, module = "safeguards._native", name = "Ledger")]
pub(crate) struct PyLedger {
    books: Arc<Books>,
    /// This object, for those who must not keep it alive.
    owner: PyOnceLock<Py<PyWeakrefReference>>,
    /// Who is told of alarms, if anybody.
    observer: Option<Py<PyAny>>,
}

/// What of a ledger is no Python object: reservations hold on to it, and so to nothing that the cycle collector would
/// have to look at.
pub(crate) struct Books {
    pub(crate) ledger: Ledger,
    process: Process,
    /// What its amounts are amounts of.
    currency: String,
    /// Handles of those reservations that may have several.
    shared: Mutex<HashMap<(u32, u64), usize>>,
    /// For how long a waiting call that does not fit is passed by others.
    pub(crate) patience_nanos: i64,
    tender: PyTender,
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

    /// To be called before anybody waits: somebody is to come when time alone gives something back.
    pub(crate) fn let_tend(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (books, owner) = Self::share_books(slf)?;
        books.tender.set_owner(owner);
        Ok(())
    }
}

impl Books {
    /// The core, if this is the process that it was made in.
    #[inline]
    pub(crate) fn core(&self, py: Python<'_>) -> PyResult<&Ledger> {
        self.process.check(py)?;
        Ok(&self.ledger)
    }

    /// Whether the coordinator was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.process.is_closed()
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
        outcome.map_err(|error| to_py(py, error, &self.ledger, &self.currency))
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
    ) -> Result<Once<Receipt>, LedgerError> {
        let joint = also.map_or(Ok(None), |also| self.joint(agent, also))?;
        let path = Path::with(agent, joint.as_ref());
        match key {
            None => self.ledger.debit(path, &amount, operation).map(Once::first),
            Some(key) => self.ledger.debit_keyed(path, &amount, operation, key),
        }
    }

    #[inline]
    pub(crate) fn reserve_account(
        &self,
        agent: &Arc<Account>,
        asked: &Asked<'_>,
    ) -> Result<Once<Reservation>, LedgerError> {
        let joint = asked.also.as_ref().map_or(Ok(None), |also| self.joint(agent, also))?;
        let path = Path::with(agent, joint.as_ref());
        match asked.key {
            None => self.ledger.reserve(path, &asked.request).map(Once::first),
            Some(key) => self.ledger.reserve_keyed(path, &asked.request, key),
        }
    }

    #[cold]
    fn joint(&self, agent: &Arc<Account>, also: &Also) -> Result<Option<Arc<Joint>>, LedgerError> {
        let ids: Vec<&str> = also.iter().map(|id| &**id).collect();
        self.ledger.joint(agent, &ids)
    }

    /// What is charged beside an agent.
    pub(crate) fn joint_of(
        &self,
        py: Python<'_>,
        agent: &Arc<Account>,
        also: Option<&Also>,
    ) -> PyResult<Option<Arc<Joint>>> {
        let joint = also.map_or(Ok(None), |also| patiently(py, &self.ledger, || self.joint(agent, also)));
        self.answer(py, joint)
    }

    /// An agent by its id.
    pub(crate) fn agent(&self, py: Python<'_>, id: &str) -> PyResult<Arc<Account>> {
        let core = self.core(py)?;
        self.answer(py, patiently(py, core, || core.agent(id)))
    }

    /// Whether somebody holds a counted handle of a reservation.
    pub(crate) fn is_shared<Q>(&self, reservation: &Reservation<Q>) -> bool {
        self.shared.lock().contains_key(&place(reservation))
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
    #[pyo3(signature = (*, clock=None, thresholds=vec![], history_events=64, history_sums=512, observer=None, currency="USD", refusals_per_minute=None, patience=1.0))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn new(
        py: Python<'_>,
        clock: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = shares)] thresholds: Vec<f64>,
        #[pyo3(from_py_with = named_whole::history_events)] history_events: i64,
        #[pyo3(from_py_with = named_whole::history_sums)] history_sums: i64,
        observer: Option<Py<PyAny>>,
        #[pyo3(from_py_with = text::currency)] currency: &str,
        #[pyo3(from_py_with = optional_whole::refusals_per_minute)] refusals_per_minute: Option<i64>,
        #[pyo3(from_py_with = number::patience)] patience: f64,
    ) -> PyResult<Self> {
        let events = count(py, "history_events", history_events)?;
        let limits = HistoryLimits { events, sums: count(py, "history_sums", history_sums)? };
        let currency = check_currency(py, currency)?;
        let ledger = Ledger::new(clock::extract(clock)?, limits, to_thresholds(py, &thresholds)?);
        let patience_nanos = check_patience(py, patience)?;
        let tender = PyTender::default();
        let ledger = ledger.letting_go(let_go).with_incarnation(incarnation());
        let ledger = ledger.with_refusal_rate(refusal_rate(py, refusals_per_minute)?);
        let ledger = ledger.with_tender(Box::new(tender.clone()));
        let (process, shared) = (Process::current(py)?, Mutex::default());
        let books = Books { ledger, process, currency, shared, patience_nanos, tender };
        Ok(Self { books: Arc::new(books), owner: PyOnceLock::new(), observer })
    }

    /// What the amounts are amounts of, such as `"USD"`. Fixed when the coordinator is made.
    #[getter]
    fn currency(&self) -> &str {
        &self.currency
    }

    /// Whether it was closed: every other method raises then.
    #[getter]
    fn closed(&self) -> bool {
        self.is_closed()
    }

    fn _close(&self) {
        self.process.close();
        self.ledger.close_waiting();
    }

    /// Does for those who wait what time alone does; in how many seconds it is to be called again, None if nobody waits.
    fn _tend_waiting(slf: &Bound<'_, Self>) -> PyResult<Option<f64>> {
        let (this, py) = (slf.get(), slf.py());
        let next = this.ask(py, Ledger::tend_waiting)?;
        tell_alarms(slf)?;
        Ok(next.map(seconds))
    }

    /// How many calls wait.
    fn _waiting_count(&self) -> i64 {
        self.ledger.waiting_count()
    }

    /// Refuses once it is closed, and in every process but the one that it was made in.
    fn _check_process(&self, py: Python<'_>) -> PyResult<()> {
        self.process.check(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.observer)
    }
}

fn check_currency(py: Python<'_>, currency: &str) -> PyResult<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=16).contains(&currency.len()) && currency.chars().all(is_plain) {
        return Ok(currency.into());
    }
    let text = "currency must be 1 to 16 letters, digits, '.', '_' or '-', such as 'USD'";
    Err(configuration_error(py, format!("{text}, not {}", quoted(currency))))
}

fn check_patience(py: Python<'_>, patience: f64) -> PyResult<i64> {
    if patience.is_nan() || patience < 0.0 {
        let text = "patience must be seconds from 0 on, or math.inf to keep nothing for who waits";
        return Err(configuration_error(py, format!("{text}, not {patience}")));
    }
    #[expect(clippy::cast_possible_truncation, reason = "292 years and more have no end")]
    Ok((patience * 1e9).round() as i64)
}

/// Another number for each ledger, in this process and in others: drawn as the seeds of hash tables are.
fn incarnation() -> u64 {
    std::hash::RandomState::new().hash_one(0)
}

fn refusal_rate(py: Python<'_>, per_minute: Option<i64>) -> PyResult<Option<u32>> {
    let Some(asked) = per_minute else { return Ok(None) };
    let rate = u32::try_from(asked).ok().filter(|rate| (1..=1_000_000).contains(rate));
    let text = || format!("refusals_per_minute must be from 1 to 1,000,000, or None, not {asked}");
    rate.map(Some).ok_or_else(|| configuration_error(py, text()))
}

fn shares(value: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    value.try_iter()?.map(|share| real(&share?)).collect()
}
