//! What reservations of money and of resources do alike: settle, release, `with` blocks, and a warning when one is
//! forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyException, PyResourceWarning, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{Bundle, Ledger, Quantity, Reservation, ReservationState};

use crate::arguments::ttl_nanos;
use crate::ledger::{Books, PyLedger, tell_alarms_of};
use crate::patience::patiently;

/// A reservation as Python holds it.
pub(crate) struct Handle<Q: Quantity> {
    books: Arc<Books>,
    /// Who tells of alarms, if it is still there.
    owner: Py<PyWeakrefReference>,
    pub(crate) reservation: Reservation<Q>,
    on_cancel: Q,
    holder: Holder,
    /// Settled or released through this object: nothing to warn of.
    closed: AtomicBool,
    /// A `with` block has kept it alive through this object.
    entered: AtomicBool,
}

/// What a handle is to its reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody else was given one when it was made.
    Maker,
    /// One of those that were made under a key.
    Key,
    /// It was found: whoever made the reservation answers for it.
    Finder,
}

impl Holder {
    pub(crate) const fn of_key(key: Option<&str>) -> Self {
        if key.is_some() { Self::Key } else { Self::Maker }
    }
}

/// What can be reserved, in words.
pub(crate) trait Reservable: Quantity {
    /// What stays set aside if a reservation is forgotten.
    const STAYS: &'static str;

    fn in_words(&self, ledger: &Ledger) -> String;

    /// So much of it as was reserved.
    fn within(&self, reserved: &Self) -> Self;
}

impl Reservable for Amount {
    const STAYS: &'static str = "money stays";

    fn in_words(&self, _: &Ledger) -> String {
        self.to_string()
    }

    fn within(&self, reserved: &Self) -> Self {
        *self.min(reserved)
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
}

impl<Q: Reservable> Handle<Q> {
    pub(crate) fn new(
        ledger: &Bound<'_, PyLedger>,
        reservation: Reservation<Q>,
        on_cancel: Q,
        holder: Holder,
    ) -> PyResult<Self> {
        let (books, owner) = PyLedger::share_books(ledger)?;
        if holder != Holder::Maker {
            books.share(&reservation);
        }
        let closed = AtomicBool::new(false);
        Ok(Self { books, owner, reservation, on_cancel, holder, closed, entered: AtomicBool::new(false) })
    }

    pub(crate) const fn books(&self) -> &Arc<Books> {
        &self.books
    }

    pub(crate) fn settle(&self, py: Python<'_>, charged: &Q) -> PyResult<Q::Receipt> {
        let this = &self.books;
        let receipt = this.answer(py, this.ask(py, |core| core.settle(&self.reservation, charged))?);
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
        if told.is_err() && self.holder == Holder::Maker {
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

    /// Keeps it alive while a `with` block runs.
    pub(crate) fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let this = &self.books;
        this.answer(py, this.ask(py, |core| core.keep_alive(&self.reservation))?)?;
        self.entered.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Closes what the body of a `with` block left open.
    pub(crate) fn leave(&self, py: Python<'_>, exception: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match exception {
            None if !self.is_open(py)? => Ok(()),
            None => self.settle(py, self.reservation.what()).map(drop),
            Some(exception) => beside(exception, self.abandon(py, exception)),
        }
    }

    fn is_open(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!self.closed.load(Ordering::Relaxed) && self.state(py)? == ReservationState::Active)
    }

    /// Closes what an exception left open. What a cancelled block cannot settle for is settled as far as it was
    /// reserved.
    fn abandon(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        if !self.is_open(py)? {
            return Ok(());
        }
        if !is_cancellation(exception)? {
            return self.release(py);
        }
        self.settle(py, &self.on_cancel).map(drop).or_else(|refused| {
            if self.closed.load(Ordering::Relaxed) {
                return Err(refused); // it was settled; what was told of it ends the program
            }
            // Nothing refuses what was set aside.
            self.settle(py, &self.on_cancel.within(self.reservation.what()))?;
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
        let is_counted = self.holder != Holder::Maker;
        let is_last = if is_counted { self.books.unshare(&self.reservation) } else { true };
        if *self.closed.get_mut() || !is_last {
            return;
        }
        let answers = match self.holder {
            Holder::Maker => !self.books.is_shared(&self.reservation),
            Holder::Key => true,
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

/// Whether a task was cancelled. Whoever cancels tasks has imported `asyncio`.
fn is_cancellation(exception: &Bound<'_, PyAny>) -> PyResult<bool> {
    let modules = exception.py().import("sys")?.getattr("modules")?;
    match modules.call_method1("get", ("asyncio.exceptions",))? {
        asyncio if asyncio.is_none() => Ok(false),
        asyncio => exception.is_instance(&asyncio.getattr("CancelledError")?),
    }
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
