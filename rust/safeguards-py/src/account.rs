//! An agent's account, found once: the fastest way to debit it.

use std::sync::Arc;

use pyo3::prelude::*;
use safeguards_core::ledger::{Account, LedgerError};

use crate::amount::{charge, to_decimal};
use crate::arguments::{Asked, operation};
use crate::ledger::{PyLedger, admitted, tell_crossings};
use crate::receipt::PyReceipt;
use crate::reservation::PyReservation;

#[pyclass(frozen, weakref, module = "safeguards._native", name = "Account")]
pub(crate) struct PyAccount {
    ledger: Py<PyLedger>,
    account: Arc<Account>,
}

impl PyAccount {
    pub(crate) fn new(ledger: &Bound<'_, PyLedger>, account: Arc<Account>) -> Self {
        Self { ledger: ledger.clone().unbind(), account }
    }
}

#[pymethods]
impl PyAccount {
    #[getter]
    fn id(&self) -> &str {
        self.account.id()
    }

    #[getter]
    fn pool_id(&self) -> Option<&str> {
        self.account.parent().map(|pool| &**pool.id())
    }

    #[getter]
    fn budget<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let this = self.ledger.get();
        to_decimal(py, this.answer(py, this.core(py)?.remaining(&self.account))?)
    }

    #[getter]
    fn available<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let this = self.ledger.get();
        to_decimal(py, this.answer(py, this.core(py)?.available(&self.account))?)
    }

    #[pyo3(signature = (amount, *, operation_type=None, idempotency_key=None))]
    fn debit(
        &self,
        amount: &Bound<'_, PyAny>,
        operation_type: Option<&str>,
        idempotency_key: Option<&str>,
    ) -> PyResult<PyReceipt> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let (amount, operation) = (charge(amount, "amount")?, operation(this, operation_type));
        let outcome = this.debit_account(&self.account, amount, operation, idempotency_key);
        let receipt = this.answer(py, outcome)?;
        tell_crossings(self.ledger.bind(py));
        Ok(PyReceipt(receipt))
    }

    #[pyo3(signature = (amount, *, operation_type=None, idempotency_key=None))]
    fn try_debit(
        &self,
        amount: &Bound<'_, PyAny>,
        operation_type: Option<&str>,
        idempotency_key: Option<&str>,
    ) -> PyResult<bool> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let (amount, operation) = (charge(amount, "amount")?, operation(this, operation_type));
        let outcome = this.debit_account(&self.account, amount, operation, idempotency_key);
        let done = this.answer(py, admitted(outcome))?;
        tell_crossings(self.ledger.bind(py));
        Ok(done.is_some())
    }

    #[pyo3(signature = (amount, *, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None))]
    fn reserve(
        &self,
        amount: &Bound<'_, PyAny>,
        ttl_seconds: f64,
        overage: &str,
        operation_type: Option<&str>,
        idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyReservation> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, on_cancel)?;
        let reservation = this.answer(py, this.reserve_account(&self.account, &asked))?;
        Ok(PyReservation::new(self.ledger.bind(py), reservation, asked.on_cancel))
    }

    #[pyo3(signature = (amount, *, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None))]
    fn try_reserve(
        &self,
        amount: &Bound<'_, PyAny>,
        ttl_seconds: f64,
        overage: &str,
        operation_type: Option<&str>,
        idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<PyReservation>> {
        let (py, this) = (amount.py(), self.ledger.get());
        this.core(py)?;
        let asked =
            Asked::new(this, amount, ttl_seconds, overage, operation_type, idempotency_key, on_cancel)?;
        let reservation = this.answer(py, admitted(this.reserve_account(&self.account, &asked)))?;
        Ok(reservation.map(|made| PyReservation::new(self.ledger.bind(py), made, asked.on_cancel)))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        match self.ledger.get().core(py)?.remaining(&self.account) {
            Ok(units) => Ok(format!("Account({:?}, budget={})", self.id(), to_decimal(py, units)?)),
            Err(LedgerError::UnknownAgent(id)) => Ok(format!("Account({id:?}, unregistered)")),
            Err(error) => self.ledger.get().answer(py, Err(error)),
        }
    }
}
