//! What reservations of money and of resources do alike: settle, release, `with` blocks, and a warning when one is
//! forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{
    PyBaseExceptionGroup, PyException, PyResourceWarning, PyStopIteration, PyTimeoutError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyWeakrefReference};
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{
    Bundle, Closed, Ledger, LedgerError, Once, Quantity, Reservation, ReservationState, SettledBy,
};

use crate::arguments::ttl_nanos;
use crate::ledger::{Books, PyLedger, tell_alarms_of};
use crate::patience::patiently;

/// A reservation as Python holds it.
pub(crate) struct Handle<Q: Quantity> {
    books: Arc<Books>,
    /// Who tells of alarms, if it is still there.
    owner: Py<PyWeakrefReference>,
    pub(crate) reservation: Reservation<Q>,
    /// It was made before, under the same key.
    is_repeat: bool,
    leaving: Leaving<Q>,
    holder: Holder,
    /// Settled or released through this object: nothing to warn of.
    closed: AtomicBool,
    /// A `with` block has kept it alive through this object.
    entered: AtomicBool,
}

/// What a `with` block settles for that is left by an exception.
#[derive(Debug)]
pub(crate) struct Leaving<Q> {
    /// Cut off in the middle of its work, which may have cost by then.
    pub(crate) on_cancel: Q,
    /// Ended by an error.
    pub(crate) on_error: Q,
    /// Classes of errors that cut it off as well.
    pub(crate) cut_off: Option<Py<PyAny>>,
}

impl<Q: Default> Default for Leaving<Q> {
    fn default() -> Self {
        Self { on_cancel: Q::default(), on_error: Q::default(), cut_off: None }
    }
}

impl<Q> Leaving<Q> {
    /// The same, for another handle.
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self
    where
        Q: Clone,
    {
        let cut_off = self.cut_off.as_ref().map(|classes| classes.clone_ref(py));
        Self { on_cancel: self.on_cancel.clone(), on_error: self.on_error.clone(), cut_off }
    }

    /// Whether an exception cuts a block off: whatever is no `Exception` does, wherever it comes from (a task that was
    /// cancelled, a generator that was closed, Ctrl-C, trio, greenlets), and so does a time-out. What was asked for may
    /// be charged by then. Of a group one is enough.
    fn is_cut_off_by(&self, exception: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = exception.py();
        let mut rest = vec![exception.clone()];
        while let Some(one) = rest.pop() {
            if !one.is_instance_of::<PyException>() || one.is_instance_of::<PyTimeoutError>() {
                return Ok(true);
            }
            if let Some(classes) = &self.cut_off
                // As `except` does, which asks no code of the class.
                && PyErr::from_value(one.clone()).matches(py, classes.bind(py))?
            {
                return Ok(true);
            }
            if one.is_instance_of::<PyBaseExceptionGroup>() {
                rest.extend(one.getattr(intern!(py, "exceptions"))?.cast::<PyTuple>()?.iter());
            }
        }
        Ok(false)
    }
}

/// What a handle is to its reservation.
#[derive(Debug)]
pub(crate) enum Holder {
    /// Nobody else was given one when it was made.
    Maker,
    /// One of those that were made under this key.
    Key(Box<str>),
    /// It was found: whoever made the reservation answers for it.
    Finder,
}

impl Holder {
    pub(crate) fn of_key(key: Option<&str>) -> Self {
        key.map_or(Self::Maker, |key| Self::Key(key.into()))
    }

    const fn is_maker(&self) -> bool {
        matches!(self, Self::Maker)
    }

    const fn has_key(&self) -> bool {
        matches!(self, Self::Key(_))
    }
}

/// What can be reserved, in words.
pub(crate) trait Reservable: Quantity + Default {
    /// What stays set aside if a reservation is forgotten.
    const STAYS: &'static str;

    fn in_words(&self, ledger: &Ledger) -> String;

    /// So much of it as was reserved.
    fn within(&self, reserved: &Self) -> Self;

    fn is_charge_of_nothing(&self) -> bool;
}

impl Reservable for Amount {
    const STAYS: &'static str = "money stays";

    fn in_words(&self, _: &Ledger) -> String {
        self.to_string()
    }

    fn within(&self, reserved: &Self) -> Self {
        *self.min(reserved)
    }

    fn is_charge_of_nothing(&self) -> bool {
        self.is_zero()
    }
}

impl Reservable for Bundle {
    const STAYS: &'static str = "resources stay";

    fn in_words(&self, ledger: &Ledger) -> String {
        let words =
            self.iter().map(|(resource, amount)| format!("{}: {amount}", ledger.resource_name(resource)));
        format!("{{{}}}", words.collect::<Vec<_>>().join(", "))
    }

    fn within(&self, reserved: &Self) -> Self {
        let least = reserved.iter().map(|(resource, amount)| (resource, amount.min(self.get(resource))));
        Self::new(least).unwrap_or_default()
    }

    fn is_charge_of_nothing(&self) -> bool {
        self.iter().all(|(_, amount)| amount.is_zero())
    }
}

impl<Q: Reservable> Handle<Q> {
    pub(crate) fn new(
        ledger: &Bound<'_, PyLedger>,
        made: Once<Reservation<Q>>,
        leaving: Leaving<Q>,
        holder: Holder,
    ) -> PyResult<Self> {
        let Once { value: reservation, is_repeat } = made;
        let (books, owner) = PyLedger::share_books(ledger)?;
        if !holder.is_maker() {
            books.share(&reservation);
        }
        let (closed, entered) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { books, owner, reservation, is_repeat, leaving, holder, closed, entered })
    }

    pub(crate) const fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    pub(crate) const fn books(&self) -> &Arc<Books> {
        &self.books
    }

    pub(crate) fn settle(&self, py: Python<'_>, charged: &Q) -> PyResult<Q::Receipt> {
        self.settle_as(py, charged, SettledBy::Caller)
    }

    fn settle_as(&self, py: Python<'_>, charged: &Q, by: SettledBy) -> PyResult<Q::Receipt> {
        let this = &self.books;
        let receipt = this.answer(py, this.ask(py, |core| core.settle_as(&self.reservation, charged, by))?);
        if receipt.is_ok() {
            self.closed.store(true, Ordering::Relaxed);
        }
        tell_alarms_of(this, self.owner.bind(py))?;
        receipt
    }

    pub(crate) fn release(&self, py: Python<'_>) -> PyResult<()> {
        let this = &self.books;
        this.answer(py, this.ask(py, |core| core.release(&self.reservation))?)?;
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// What came of telling about alarms right after it was made. One whose maker ends here, and whom no key leads
    /// back to, would stay set aside with nobody to close it: it is given back.
    pub(crate) fn once_told(&self, py: Python<'_>, told: PyResult<()>) -> PyResult<()> {
        if told.is_err() && self.holder.is_maker() {
            self.release(py)?;
        }
        told
    }

    pub(crate) fn extend(&self, py: Python<'_>, ttl_seconds: f64) -> PyResult<()> {
        let (this, nanos) = (&self.books, ttl_nanos(py, ttl_seconds)?);
        this.answer(py, this.ask(py, |core| core.extend(&self.reservation, nanos))?)
    }

    pub(crate) fn receipt(&self, py: Python<'_>) -> PyResult<Option<Q::Receipt>> {
        self.books.ask(py, |core| core.settlement(&self.reservation))
    }

    pub(crate) fn state(&self, py: Python<'_>) -> PyResult<ReservationState> {
        let this = &self.books;
        this.answer(py, this.ask(py, |core| core.reservation_state(&self.reservation))?)
    }

    pub(crate) fn state_name(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(match self.state(py)? {
            ReservationState::Active => "active",
            ReservationState::Settled => "settled",
            ReservationState::Released => "released",
            ReservationState::Expired => "expired",
        })
    }

    /// Where it stands, for a repr: that of an object which cannot be asked any more must not raise.
    pub(crate) fn state_in_words(&self, py: Python<'_>) -> PyResult<&'static str> {
        if self.books.is_closed() { Ok("of a coordinator that is closed") } else { self.state_name(py) }
    }

    /// Keeps it alive while a `with` block runs. Under a key one that is settled can be entered, too, to find that out:
    /// also by who made it, as another may have come to its work first.
    pub(crate) fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let this = &self.books;
        let kept = this.ask(py, |core| match &self.holder {
            Holder::Key(key) => core.keep_alive_keyed(&self.reservation, key),
            Holder::Maker | Holder::Finder => core.keep_alive(&self.reservation),
        })?;
        match kept {
            Err(LedgerError::ReservationClosed { closed, .. })
                if self.holder.has_key() && matches!(*closed, Closed::Settled(_)) =>
            {
                Ok(())
            }
            kept => this.answer(py, kept).map(|()| self.entered.store(true, Ordering::Relaxed)),
        }
    }

    /// Closes what the body of a `with` block left open.
    pub(crate) fn leave(&self, py: Python<'_>, exception: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match exception {
            None if !self.is_open(py)? => Ok(()),
            None => self.settle_as(py, self.reservation.what(), SettledBy::Default).map(drop),
            Some(exception) => beside(exception, self.abandon(py, exception)),
        }
    }

    fn is_open(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!self.closed.load(Ordering::Relaxed) && self.state(py)? == ReservationState::Active)
    }

    /// Closes what an exception left open. What the block cannot settle for is settled as far as it was reserved.
    fn abandon(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        if !self.is_open(py)? {
            return Ok(());
        }
        let is_cut_off = self.leaving.is_cut_off_by(exception)?;
        let left = if is_cut_off { &self.leaving.on_cancel } else { &self.leaving.on_error };
        if left.is_charge_of_nothing() {
            return self.release(py); // No effect, and so no end of a key.
        }
        self.settle_as(py, left, SettledBy::Default).map(drop).or_else(|refused| {
            if self.closed.load(Ordering::Relaxed) {
                return Err(refused); // it was settled; what was told of it ends the program
            }
            // Nothing refuses what was set aside.
            self.settle_as(py, &left.within(self.reservation.what()), SettledBy::Default)?;
            Err(refused)
        })
    }

    /// The agent and the number, which tell a reservation from all others of a ledger.
    pub(crate) fn hash(&self) -> usize {
        let place = Arc::as_ptr(self.reservation.agent()).addr() >> 4;
        place.wrapping_mul(31).wrapping_add(usize::try_from(self.reservation.number()).unwrap_or_default())
    }

    /// To be called when the object goes: warns if nobody holds the reservation any more and it is still active.
    pub(crate) fn forget(&mut self) {
        let is_counted = !self.holder.is_maker();
        let is_last = if is_counted { self.books.unshare(&self.reservation) } else { true };
        if *self.closed.get_mut() || !is_last {
            return;
        }
        let answers = match self.holder {
            Holder::Maker => !self.books.is_shared(&self.reservation),
            Holder::Key(_) => true,
            Holder::Finder => *self.entered.get_mut(),
        };
        if answers {
            while_dropped(|py| self.warn(py));
        }
    }

    /// Warns if the reservation is still active: what it holds stays set aside until its time is over.
    #[cold]
    fn warn(&self, py: Python<'_>) {
        let Ok(core) = self.books.core(py) else { return };
        // One that is closed, or cannot be told to expire, needs no telling: the state says so.
        let state = patiently(py, core, || {
            core.let_expire(&self.reservation).and_then(|()| core.reservation_state(&self.reservation))
        });
        if matches!(state, Ok(ReservationState::Active)) {
            let (number, agent) = (self.reservation.number(), self.reservation.agent().id());
            let what = self.reservation.what().in_words(core);
            warn_dropped(py, &format!("reservation {number} of agent {agent:?} ({what})"), Q::STAYS);
        }
    }
}

/// Notes on an exception what failed beside it. It stays the one that is raised: whoever cancels a task, or waits
/// for an error, must see it. But what ends a program, as Ctrl-C in a handler of alerts, is raised in its place.
fn beside(exception: &Bound<'_, PyAny>, closed: PyResult<()>) -> PyResult<()> {
    let Err(failed) = closed else { return Ok(()) };
    let py = exception.py();
    if !failed.is_instance_of::<PyException>(py) {
        return Err(failed);
    }
    let failed = failed.value(py);
    let note = format!("leaving the block, the reservation was not closed as it was told to: {failed}");
    let told = exception.call_method1("add_note", (note,)).and_then(|_| {
        if exception.getattr("__context__")?.is_none() && !failed.getattr("__context__")?.is(exception) {
            exception.setattr("__context__", failed)?;
        }
        Ok(())
    });
    if let Err(error) = told {
        error.write_unraisable(py, Some(exception));
    }
    Ok(())
}

/// Does something for an object that is being dropped, whatever exception is on its way.
pub(crate) fn while_dropped(act: impl FnOnce(Python<'_>)) {
    // No interpreter, no warning: the process is ending.
    Python::try_attach(|py| {
        // Whoever unwinds a stack drops what is on it while an exception is on its way.
        let pending = PyErr::take(py);
        act(py);
        if let Some(pending) = pending {
            pending.restore(py);
        }
    });
}

/// Warns of what was reserved and then forgotten.
fn warn_dropped(py: Python<'_>, reservation: &str, what: &str) {
    let text =
        format!("{reservation} was dropped without settle or release: its {what} set aside until it expires");
    let text = std::ffi::CString::new(text).unwrap_or_default();
    if let Err(error) = PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &text, 1) {
        error.write_unraisable(py, None);
    }
}

/// An awaitable that has its result already: what `async with` awaits.
#[pyclass(frozen, module = "safeguards._native", name = "_Ready")]
pub(crate) struct Ready(Py<PyAny>);

impl Ready {
    pub(crate) fn new(result: Bound<'_, PyAny>) -> Self {
        Self(result.unbind())
    }

    /// What `__aexit__` answers: no exception is swallowed.
    pub(crate) fn not_swallowed(py: Python<'_>) -> PyResult<Self> {
        Ok(Self::new(false.into_pyobject(py)?.to_owned().into_any()))
    }
}

#[pymethods]
impl Ready {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<()> {
        Err(PyStopIteration::new_err(self.0.clone_ref(py)))
    }
}
