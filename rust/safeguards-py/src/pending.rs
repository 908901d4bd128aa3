//! What `reserve_async` and `debit_async` return: it begins when it is awaited.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use safeguards_core::amount::Amount;
use safeguards_core::ledger::{Account, Joint, OperationId, Request};

use crate::arguments::{Also, Asked};
use crate::handle::Leaving;
use crate::ledger::PyLedger;
use crate::waiting::{Timeout, Want, begin, debit_request};

/// What is asked for, and of whom.
struct Pending {
    ledger: Py<PyLedger>,
    agent: Arc<Account>,
    joint: Option<Arc<Joint>>,
    request: Request,
    key: Option<Box<str>>,
    is_debit: bool,
    leaving: Leaving<Amount>,
    timeout: Option<Timeout>,
}

impl Pending {
    fn begin<'py>(&self, py: Python<'py>, wake: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let want = Want {
            agent: &self.agent,
            joint: self.joint.as_ref(),
            request: self.request,
            key: self.key.as_deref(),
            is_debit: self.is_debit,
            leaving: Some(&self.leaving),
        };
        begin(self.ledger.bind(py), &want, self.timeout, wake)
    }
}

/// Calls a coroutine function of `safeguards.core._waiting`.
fn coroutine<'py>(pending: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    pending.py().import(intern!(pending.py(), "safeguards.core._waiting"))?.call_method1(name, (pending,))
}

/// A reservation that is made when it is awaited, or entered with `async with`: see `reserve_async`.
///
/// Example:
///     >>> import asyncio
///     >>> async def work():
///     ...     async with coordinator.reserve_async("bot", "0.50", timeout=5) as reservation:
///     ...         return reservation.settle("0.20").remaining
///     >>> asyncio.run(work())
///     Decimal('0.8')
#[pyclass(frozen, module = "safeguards._native", name = "PendingReservation")]
pub(crate) struct PyPendingReservation {
    pending: Pending,
    /// What a block holds that was entered.
    entered: Mutex<Option<Py<PyAny>>>,
}

impl PyPendingReservation {
    pub(crate) fn new(
        ledger: &Bound<'_, PyLedger>,
        agent: Arc<Account>,
        asked: Asked<'_>,
        timeout: Option<Timeout>,
    ) -> PyResult<Self> {
        let joint = ledger.get().joint_of(ledger.py(), &agent, asked.also.as_ref())?;
        let pending = Pending {
            ledger: ledger.clone().unbind(),
            agent,
            joint,
            request: asked.request,
            key: asked.key.map(Into::into),
            is_debit: false,
            leaving: asked.leaving,
            timeout,
        };
        Ok(Self { pending, entered: Mutex::new(None) })
    }
}

#[pymethods]
impl PyPendingReservation {
    fn _begin<'py>(&self, py: Python<'py>, wake: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.pending.begin(py, wake)
    }

    /// Keeps what a block has entered.
    fn _keep(&self, reservation: Py<PyAny>) -> PyResult<()> {
        let mut entered = self.entered.lock();
        if entered.is_some() {
            return Err(PyRuntimeError::new_err("it was entered before: call reserve_async for each block"));
        }
        *entered = Some(reservation);
        Ok(())
    }

    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        coroutine(slf.as_any(), "obtain")?.call_method0(intern!(slf.py(), "__await__"))
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        coroutine(slf.as_any(), "enter")
    }

    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        _class: Option<&Bound<'py, PyAny>>,
        exception: Option<&Bound<'py, PyAny>>,
        _traceback: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let entered = self.entered.lock().take();
        let Some(reservation) = entered else {
            return Err(PyRuntimeError::new_err("it was not entered"));
        };
        let leave = intern!(py, "__aexit__");
        reservation
            .bind(py)
            .call_method1(leave, (exception.map(PyAnyMethods::get_type), exception, py.None()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.pending.ledger)
    }
}

/// A debit that is charged when it is awaited: what `debit_async` returns.
///
/// Example:
///     >>> import asyncio
///     >>> async def pay():
///     ...     return await coordinator.debit_async("bot", "0.25", timeout=5)
///     >>> asyncio.run(pay()).remaining
///     Decimal('0.75')
#[pyclass(frozen, module = "safeguards._native", name = "PendingDebit")]
pub(crate) struct PyPendingDebit(Pending);

impl PyPendingDebit {
    pub(crate) fn new(
        ledger: &Bound<'_, PyLedger>,
        agent: Arc<Account>,
        also: Option<&Also>,
        what: Amount,
        operation: OperationId,
        key: Option<&str>,
        timeout: Option<Timeout>,
    ) -> PyResult<Self> {
        let joint = ledger.get().joint_of(ledger.py(), &agent, also)?;
        Ok(Self(Pending {
            ledger: ledger.clone().unbind(),
            agent,
            joint,
            request: debit_request(what, operation),
            key: key.map(Into::into),
            is_debit: true,
            leaving: Leaving::default(),
            timeout,
        }))
    }
}

#[pymethods]
impl PyPendingDebit {
    fn _begin<'py>(&self, py: Python<'py>, wake: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.0.begin(py, wake)
    }

    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        coroutine(slf.as_any(), "obtain")?.call_method0(intern!(slf.py(), "__await__"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0.ledger)
    }
}
