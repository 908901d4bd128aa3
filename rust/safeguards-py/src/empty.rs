//! Methods that take what the hot methods take and do nothing: what a call costs before any work, for `benches/`.

use pyo3::prelude::*;

/// Takes what the hot methods take and does nothing: what a call costs before any work.
#[pyclass(frozen, module = "safeguards._native", name = "Empty")]
pub(crate) struct Empty;

#[pymethods]
impl Empty {
    #[new]
    fn new() -> Self {
        Self
    }

    /// Does nothing, as `BudgetCoordinator.try_debit` is called.
    #[pyo3(signature = (agent_id, amount, *, operation_type=None, idempotency_key=None))]
    fn try_debit(
        &self,
        agent_id: &Bound<'_, PyAny>,
        amount: &Bound<'_, PyAny>,
        operation_type: Option<&Bound<'_, PyAny>>,
        idempotency_key: Option<&Bound<'_, PyAny>>,
    ) -> bool {
        let _ = (agent_id, amount, operation_type, idempotency_key);
        true
    }

    /// Does nothing, as `Account.try_debit` is called.
    #[pyo3(signature = (amount, *, operation_type=None, idempotency_key=None))]
    fn account_try_debit(
        &self,
        amount: &Bound<'_, PyAny>,
        operation_type: Option<&Bound<'_, PyAny>>,
        idempotency_key: Option<&Bound<'_, PyAny>>,
    ) -> bool {
        let _ = (amount, operation_type, idempotency_key);
        true
    }

    /// Does nothing, as `BudgetRateLimiter.try_acquire` is called.
    fn try_acquire(&self, agent_id: &Bound<'_, PyAny>, amount: &Bound<'_, PyAny>) -> bool {
        let _ = (agent_id, amount);
        true
    }
}
