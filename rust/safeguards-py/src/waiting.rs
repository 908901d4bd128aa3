//! Calls that wait: through Python's own locks where a thread waits, so that whoever replaces those (gevent) is served
//! and signals end it; through a callable where a task does.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use safeguards_core::amount::Amount;
use safeguards_core::clock::{Clock, Monotonic};
use safeguards_core::ledger::{
    Account, Joint, LedgerError, Once, OperationId, Overage, Path, Receipt, Request, Reservation, Served,
    Tender, Wait, Waiter, Wake,
};

use crate::arguments::{Asked, seconds_named, shown};
use crate::error::{configuration_error, seconds};
use crate::handle::{Holder, Leaving, while_dropped};
use crate::ledger::{PyLedger, answer_told, tell_alarms};
use crate::patience::{attached, patiently};
use crate::receipt::PyReceipt;
use crate::reservation::PyReservation;

/// How long a debit may take to be charged once its turn has come. What is charged later is charged all the same.
const DEBIT_TTL_NANOS: i64 = 60 * 1_000_000_000;

/// The longest that a lock is waited for at once: locks take no more than some hundred years.
const LONGEST_SECONDS: f64 = 1e8;

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout(Option<i64>);

impl Timeout {
    /// Seconds from 0 on; `None` for a call that does not wait.
    pub(crate) fn read(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Self>> {
        value.map(Self::from_seconds).transpose()
    }

    fn from_seconds(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let wanted = || {
            let text =
                "timeout must be seconds from 0 on, math.inf to wait without an end, or None not to wait";
            configuration_error(py, format!("{text}, not {}", shown(value)))
        };
        let seconds = seconds_named(value, "timeout")?;
        if seconds.is_nan() || seconds < 0.0 {
            return Err(wanted());
        }
        #[expect(clippy::cast_possible_truncation, reason = "292 years and more are without an end")]
        let nanos = (seconds * 1e9).round() as i64;
        Ok(Self((nanos != i64::MAX).then_some(nanos)))
    }

    const fn is_nothing(self) -> bool {
        matches!(self.0, Some(0))
    }
}

/// What a call wants that can wait.
pub(crate) struct Want<'a> {
    pub(crate) agent: &'a Arc<Account>,
    pub(crate) joint: Option<&'a Arc<Joint>>,
    pub(crate) request: Request,
    pub(crate) key: Option<&'a str>,
    pub(crate) is_debit: bool,
    /// Of a reservation: what a `with` block settles for that is left by an exception.
    pub(crate) leaving: Option<&'a Leaving<Amount>>,
}

/// What came of it.
pub(crate) enum Got {
    Reservation(Once<Reservation>),
    Receipt(Once<Receipt>),
}

impl<'a> Want<'a> {
    pub(crate) fn of_reservation(
        agent: &'a Arc<Account>,
        joint: Option<&'a Arc<Joint>>,
        asked: &'a Asked<'_>,
    ) -> Self {
        let Asked { request, key, leaving, .. } = asked;
        Self { agent, joint, request: *request, key: *key, is_debit: false, leaving: Some(leaving) }
    }

    pub(crate) const fn of_debit(
        agent: &'a Arc<Account>,
        joint: Option<&'a Arc<Joint>>,
        what: Amount,
        operation: OperationId,
        key: Option<&'a str>,
    ) -> Self {
        let request = debit_request(what, operation);
        Self { agent, joint, request, key, is_debit: true, leaving: None }
    }

    fn leaving(&self, py: Python<'_>) -> Leaving<Amount> {
        self.leaving.map(|leaving| leaving.clone_ref(py)).unwrap_or_default()
    }

    fn at_once(&self, ledger: &PyLedger) -> Result<Option<Got>, LedgerError> {
        let (core, what, operation) = (&ledger.ledger, self.request.what, self.request.operation);
        core.follow(self.agent, |agent| {
            let path = Path::with(agent, self.joint);
            if self.is_debit {
                return Ok(core.debit_at_once(path, what, operation, self.key)?.map(Got::Receipt));
            }
            Ok(core.reserve_at_once(path, &self.request, self.key)?.map(Got::Reservation))
        })
    }

    /// As a call does that does not wait.
    fn once(&self, ledger: &PyLedger) -> Result<Got, LedgerError> {
        let (core, request) = (&ledger.ledger, &self.request);
        let (what, operation) = (&request.what, request.operation);
        core.follow(self.agent, |agent| {
            let path = Path::with(agent, self.joint);
            match (self.is_debit, self.key) {
                (true, None) => core.debit(path, what, operation).map(Once::first).map(Got::Receipt),
                (true, Some(key)) => core.debit_keyed(path, what, operation, key).map(Got::Receipt),
                (false, None) => core.reserve(path, request).map(Once::first).map(Got::Reservation),
                (false, Some(key)) => core.reserve_keyed(path, request, key).map(Got::Reservation),
            }
        })
    }

    /// Lets the call wait.
    fn wait(
        &self,
        ledger: &PyLedger,
        terms: &Wait<'_>,
        wake: &Arc<Py<PyAny>>,
    ) -> Result<Arc<Waiter>, LedgerError> {
        let core = &ledger.ledger;
        core.follow(self.agent, |agent| {
            let bell = Box::new(Bell(Arc::clone(wake)));
            core.wait(Path::with(agent, self.joint), &self.request, terms, bell)
        })
    }
}

/// A request for so much, to be charged as a debit.
pub(crate) const fn debit_request(what: Amount, operation: OperationId) -> Request {
    Request { what, ttl_nanos: DEBIT_TTL_NANOS, overage: Overage::AllowWithOverdraft, operation }
}

/// Gets what a call wants, and lets its thread wait for it.
#[cold]
pub(crate) fn get(ledger: &Bound<'_, PyLedger>, want: &Want<'_>, timeout: Timeout) -> PyResult<Got> {
    let (this, py) = (ledger.get(), ledger.py());
    let core = this.core(py)?;
    if timeout.is_nothing() || want.request.what.is_zero() {
        let once = patiently(py, core, || want.once(this));
        return answer_told(ledger, once).map_err(|error| having_waited(py, error, 0));
    }
    let at_once = patiently(py, core, || want.at_once(this));
    if let Some(got) = answer_told(ledger, at_once)? {
        return Ok(got);
    }
    let lock = py.import(intern!(py, "threading"))?.call_method0(intern!(py, "Lock"))?;
    lock.call_method0(intern!(py, "acquire"))?;
    let wake = lock.getattr(intern!(py, "release"))?.unbind();
    let waiting = PyWaiter::begin(ledger, want, timeout, wake)?;
    waiting.sleep(py, &lock).inspect_err(|_| waiting.withdraw(py))?;
    waiting.get(py)
}

/// The reservation that a call gets.
pub(crate) fn reservation(
    ledger: &Bound<'_, PyLedger>,
    got: Got,
    leaving: Leaving<Amount>,
    key: Option<&str>,
) -> PyResult<PyReservation> {
    match got {
        Got::Reservation(made) => PyReservation::new(ledger, made, leaving, Holder::of_key(key))?
            .once_told(ledger.py(), tell_alarms(ledger)),
        Got::Receipt(_) => Err(PyRuntimeError::new_err("a reservation was asked for")),
    }
}

/// The receipt that a call gets.
pub(crate) fn receipt(ledger: &Bound<'_, PyLedger>, got: Got) -> PyResult<PyReceipt> {
    tell_alarms(ledger)?;
    match got {
        Got::Receipt(receipt) => Ok(PyReceipt::new(ledger.get().books(), receipt)),
        Got::Reservation(_) => Err(PyRuntimeError::new_err("a debit was asked for")),
    }
}

/// Says on an error how long the call has waited.
fn having_waited(py: Python<'_>, error: PyErr, nanos: i64) -> PyErr {
    let value = error.value(py);
    if value.hasattr(intern!(py, "waited")).unwrap_or(false)
        && let Err(failed) = value.setattr(intern!(py, "waited"), seconds(nanos))
    {
        return failed;
    }
    error
}

/// What is called when a call waits no more.
struct Bell(Arc<Py<PyAny>>);

impl Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

impl Wake for Bell {
    /// A loop that was closed takes no calls: there is nobody any more.
    fn wake(&self) -> bool {
        attached(|py| self.0.call0(py).is_ok()).unwrap_or(false)
    }
}

/// A call that waits.
#[pyclass(frozen, module = "safeguards._native", name = "_Waiter")]
pub(crate) struct PyWaiter {
    ledger: Py<PyLedger>,
    waiter: Arc<Waiter>,
    key: Option<Box<str>>,
    is_debit: bool,
    leaving: Leaving<Amount>,
}

impl PyWaiter {
    pub(crate) fn begin(
        ledger: &Bound<'_, PyLedger>,
        want: &Want<'_>,
        timeout: Timeout,
        wake: Py<PyAny>,
    ) -> PyResult<Self> {
        let (this, py) = (ledger.get(), ledger.py());
        let core = this.core(py)?;
        PyLedger::let_tend(ledger)?;
        let terms = Wait {
            key: want.key,
            is_debit: want.is_debit,
            timeout_nanos: timeout.0,
            patience_nanos: this.patience_nanos,
        };
        let wake = Arc::new(wake);
        let waiter = patiently(py, core, || want.wait(this, &terms, &wake));
        let waiter = answer_told(ledger, waiter).map_err(|error| having_waited(py, error, 0))?;
        Ok(Self {
            ledger: ledger.clone().unbind(),
            waiter,
            key: want.key.map(Into::into),
            is_debit: want.is_debit,
            leaving: want.leaving(py),
        })
    }

    /// Lets its thread wait until it is woken, or its time is over.
    fn sleep(&self, py: Python<'_>, lock: &Bound<'_, PyAny>) -> PyResult<()> {
        while !self.waiter.is_over() {
            let acquire = intern!(py, "acquire");
            match self.seconds_left(py) {
                None => lock.call_method0(acquire)?,
                Some(left) if left <= 0.0 => return Ok(()),
                Some(left) => lock.call_method1(acquire, (true, left.min(LONGEST_SECONDS)))?,
            };
        }
        Ok(())
    }

    /// What came of it. One whose time is over is tried for the last time.
    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<Got> {
        let this = self.ledger.get();
        let core = this.core(py)?;
        if !self.waiter.is_over() {
            patiently(py, core, || core.end_wait(&self.waiter));
        }
        let outcome = patiently(py, core, || {
            self.waiter.outcome().map(|outcome| match outcome? {
                Served::Charged(receipt) => Ok(Got::Receipt(Once { value: receipt, is_repeat: true })),
                Served::Reserved(made) if self.is_debit => {
                    core.debit_reserved(&made.value, self.key.as_deref()).map(Got::Receipt)
                }
                Served::Reserved(made) => Ok(Got::Reservation(made)),
            })
        });
        let Some(outcome) = outcome else {
            return Err(PyRuntimeError::new_err("this call was withdrawn, or has got its outcome already"));
        };
        let waited = || core.clock().monotonic().since(self.waiter.begun());
        answer_told(self.ledger.bind(py), outcome).map_err(|error| having_waited(py, error, waited()))
    }
}

#[pymethods]
impl PyWaiter {
    /// What it has waited for; raises why it did not get it.
    #[pyo3(name = "_finish")]
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let ledger = self.ledger.bind(py);
        give(ledger, self.get(py)?, self.leaving.clone_ref(py), self.key.as_deref())
    }

    /// Waits no more. What it got in that very moment is given back.
    #[pyo3(name = "_withdraw")]
    fn withdraw(&self, py: Python<'_>) {
        let core = &self.ledger.get().ledger;
        patiently(py, core, || core.withdraw(&self.waiter));
    }

    /// Seconds until its time is over; None if it has no end, or if a clock that stands still tells.
    #[getter(_seconds_left)]
    fn seconds_left(&self, _py: Python<'_>) -> Option<f64> {
        let clock = self.ledger.get().ledger.clock();
        let has_end = matches!(clock, Clock::System) && self.waiter.deadline() != Monotonic::NEVER;
        has_end.then(|| seconds(self.waiter.deadline().since(clock.monotonic())))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.ledger)
    }
}

impl Drop for PyWaiter {
    /// Whoever waited is gone.
    fn drop(&mut self) {
        if self.waiter.is_gone() {
            return;
        }
        while_dropped(|py| {
            // In the child of a fork nobody waits, and a lock may have been left taken.
            if self.ledger.get().core(py).is_ok() {
                self.withdraw(py);
            }
        });
    }
}

/// What a call got, as Python has it.
pub(crate) fn give<'py>(
    ledger: &Bound<'py, PyLedger>,
    got: Got,
    leaving: Leaving<Amount>,
    key: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = ledger.py();
    Ok(match got {
        Got::Reservation(_) => reservation(ledger, got, leaving, key)?.into_pyobject(py)?.into_any(),
        Got::Receipt(_) => receipt(ledger, got)?.into_pyobject(py)?.into_any(),
    })
}

/// Begins a call for a task: what it got at once, or who waits.
pub(crate) fn begin<'py>(
    ledger: &Bound<'py, PyLedger>,
    want: &Want<'_>,
    timeout: Option<Timeout>,
    wake: Py<PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let (this, py) = (ledger.get(), ledger.py());
    let core = this.core(py)?;
    let waits = |timeout: &Timeout| !timeout.is_nothing() && !want.request.what.is_zero();
    let Some(timeout) = timeout.filter(waits) else {
        let once = answer_told(ledger, patiently(py, core, || want.once(this)));
        let got =
            once.map_err(|error| if timeout.is_some() { having_waited(py, error, 0) } else { error })?;
        return give(ledger, got, want.leaving(py), want.key);
    };
    let at_once = patiently(py, core, || want.at_once(this));
    match answer_told(ledger, at_once)? {
        Some(got) => give(ledger, got, want.leaving(py), want.key),
        None => Ok(PyWaiter::begin(ledger, want, timeout, wake)?.into_pyobject(py)?.into_any()),
    }
}

/// Asks Python's ticker to come when time alone gives something back.
#[derive(Clone, Default)]
pub(crate) struct PyTender(Arc<OnceLock<Py<PyWeakrefReference>>>);

impl PyTender {
    /// Whose ticker that is.
    pub(crate) fn set_owner(&self, owner: Py<PyWeakrefReference>) {
        self.0.get_or_init(|| owner);
    }
}

impl Debug for PyTender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PyTender")
    }
}

impl Tender for PyTender {
    fn tend_in(&self, nanos: i64) {
        let Some(owner) = self.0.get() else { return };
        attached(|py| {
            let asked = owner.bind(py).upgrade().map_or(Ok(()), |owner| {
                owner.call_method1(intern!(py, "_tend_in"), (seconds(nanos),)).map(drop)
            });
            if let Err(error) = asked {
                error.write_unraisable(py, None);
            }
        });
    }
}
