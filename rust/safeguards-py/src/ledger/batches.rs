//! Many operations in one call, on arrays, without the interpreter.

use numpy::{Element, IntoPyArray, PyArray1};
use pyo3::prelude::*;
use safeguards_core::ledger::{BatchError, Ledger, LedgerError, Request};

use super::{PyLedger, tell_alarms};
use crate::arguments::{operation, optional_text, terms, text, ttl_seconds};
use crate::array::column;
use crate::patience::{GoOn, until_interrupted};

#[pymethods]
impl PyLedger {
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
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let operation = operation(slf.get(), slf.py(), operation_type)?;
        let (handles, units) = (column(handles, "handles")?, column(units, "units")?);
        run(slf, "debit_many", "admitted", handles.len(), |core, signals| {
            core.debit_many_while(&handles, &units, operation, || signals.may())
        })
    }

    /// Reserves for many agents in one call, each in turn, with the interpreter lock released.
    ///
    /// Item i sets `units[i]` billionths aside for the agent of `handles[i]`, exactly as `reserve` does. A
    /// reservation is named by its agent and its number, by which `settle_many` and `release_many` close it;
    /// an agent's reservations, of money and of resources, are numbered 1, 2, 3 and so on. No object stands
    /// for it, so nobody warns if it is forgotten: it is given back when its time to live is over.
    ///
    /// A malformed item refuses the whole call before anything is reserved. An agent that is unregistered
    /// while the call is under way reserves nothing from then on.
    ///
    /// Signals are handled meanwhile, as Ctrl-C. What their handler raises ends the call between two items:
    /// what was reserved by then stays reserved, and the exception has an attribute `numbers`, which tells
    /// it as the result would, for as many items as were done.
    ///
    /// Args:
    ///     handles: agents by `handle`, shape (n,), dtype uint32, in memory in any layout.
    ///     units: the most that each piece of work can cost, in units of 1e-9, shape (n,), dtype int64, in
    ///         any layout.
    ///     ttl_seconds: seconds until each is given back by itself, above 0.
    ///     overage: what settling for more may do, as of `reserve`.
    ///     operation_type: what for, at most 256 bytes.
    ///
    /// Returns:
    ///     Numbers of the reservations among those of their agents, 0 where a budget or a window refused,
    ///     shape (n,), dtype uint64.
    ///
    /// Raises:
    ///     TypeError: not a one-dimensional array of that dtype in native byte order, or one with a mask.
    ///     ConfigurationError: the arrays differ in length, an amount is negative, `ttl_seconds` is not
    ///         positive and finite, `overage` is none of the three, or the operation type is longer than 256
    ///         bytes.
    ///     UnknownAgentError: a handle names no registered agent.
    ///     KeyboardInterrupt: Ctrl-C ended it after the first `len(error.numbers)` items.
    ///
    /// Example:
    ///     >>> import numpy as np
    ///     >>> handles = np.full(3, coordinator.handle("bot"), dtype=np.uint32)
    ///     >>> coordinator.reserve_many(handles, np.array([400_000_000] * 3))
    ///     array([1, 2, 0], dtype=uint64)
    #[pyo3(signature = (handles, units, *, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None))]
    fn reserve_many<'py>(
        slf: &Bound<'py, Self>,
        handles: &Bound<'py, PyAny>,
        units: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text::overage)] overage: &str,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let (this, py) = (slf.get(), slf.py());
        let (ttl_nanos, overage) = terms(py, ttl_seconds, overage)?;
        let operation = operation(this, py, operation_type)?;
        let terms = Request { what: (), ttl_nanos, overage, operation };
        let (handles, units) = (column(handles, "handles")?, column(units, "units")?);
        run(slf, "reserve_many", "numbers", handles.len(), |core, signals| {
            core.reserve_many_while(&handles, &units, terms, || signals.may())
        })
    }

    /// Settles many reservations of money in one call, each in turn, with the interpreter lock released.
    ///
    /// Item i charges `units[i]` billionths for the reservation `numbers[i]` of the agent of `handles[i]`,
    /// exactly as its `settle` does: under its overage policy, and late if it has expired and is among the
    /// 100,000 that ended last. It does not matter how it was made.
    ///
    /// A malformed item refuses the whole call before anything is charged. Signals are handled as by
    /// `debit_many`; the attribute is called `settled`.
    ///
    /// Args:
    ///     handles: agents by `handle`, shape (n,), dtype uint32, in memory in any layout.
    ///     numbers: their reservations by number, shape (n,), dtype uint64, in any layout. 0, as
    ///         `reserve_many` says what was refused, names none.
    ///     units: what each has cost, in units of 1e-9, shape (n,), dtype int64, in any layout.
    ///
    /// Returns:
    ///     Shape (n,), dtype bool. True where it is charged for so much, by this call or, which has no
    ///     effect any more, by an earlier one. False, and nothing was changed, where the overage policy
    ///     refused, where it was released or settled for another amount, and where the number names no
    ///     reservation of money that is active or remembered.
    ///
    /// Raises:
    ///     TypeError: not a one-dimensional array of that dtype in native byte order, or one with a mask.
    ///     ConfigurationError: the arrays differ in length, or an amount is negative.
    ///     UnknownAgentError: a handle names no registered agent.
    ///     KeyboardInterrupt: Ctrl-C ended it after the first `len(error.settled)` items.
    ///
    /// Example:
    ///     >>> import numpy as np
    ///     >>> handles = np.full(3, coordinator.handle("bot"), dtype=np.uint32)
    ///     >>> numbers = coordinator.reserve_many(handles, np.array([400_000_000] * 3))
    ///     >>> coordinator.settle_many(handles, numbers, np.array([100_000_000] * 3))
    ///     array([ True,  True, False])
    ///     >>> coordinator.get_budget("bot")
    ///     Decimal('0.8')
    #[pyo3(signature = (handles, numbers, units))]
    fn settle_many<'py>(
        slf: &Bound<'py, Self>,
        handles: &Bound<'py, PyAny>,
        numbers: &Bound<'py, PyAny>,
        units: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let (handles, numbers) = (column(handles, "handles")?, column(numbers, "numbers")?);
        let units = column(units, "units")?;
        run(slf, "settle_many", "settled", handles.len(), |core, signals| {
            core.settle_many_while(&handles, &numbers, &units, || signals.may())
        })
    }

    /// Releases many reservations of money in one call, each in turn, with the interpreter lock released.
    ///
    /// Item i gives back the reservation `numbers[i]` of the agent of `handles[i]`, as its `release` does. A
    /// malformed item refuses the whole call before anything is given back. Signals are handled as by
    /// `debit_many`; the attribute is called `released`.
    ///
    /// Args:
    ///     handles: agents by `handle`, shape (n,), dtype uint32, in memory in any layout.
    ///     numbers: their reservations by number, shape (n,), dtype uint64, in any layout.
    ///
    /// Returns:
    ///     Shape (n,), dtype bool. True where it is given back: by this call, by an earlier one, or by time.
    ///     False, and nothing was changed, where it was settled, and where the number names no reservation
    ///     of money that is active or remembered.
    ///
    /// Raises:
    ///     TypeError: not a one-dimensional array of that dtype in native byte order, or one with a mask.
    ///     ConfigurationError: the arrays differ in length.
    ///     UnknownAgentError: a handle names no registered agent.
    ///     KeyboardInterrupt: Ctrl-C ended it after the first `len(error.released)` items.
    ///
    /// Example:
    ///     >>> import numpy as np
    ///     >>> handles = np.full(2, coordinator.handle("bot"), dtype=np.uint32)
    ///     >>> numbers = coordinator.reserve_many(handles, np.array([400_000_000] * 2))
    ///     >>> coordinator.release_many(handles, numbers), coordinator.get_budget("bot")
    ///     (array([ True,  True]), Decimal('1'))
    #[pyo3(signature = (handles, numbers))]
    fn release_many<'py>(
        slf: &Bound<'py, Self>,
        handles: &Bound<'py, PyAny>,
        numbers: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let (handles, numbers) = (column(handles, "handles")?, column(numbers, "numbers")?);
        run(slf, "release_many", "released", handles.len(), |core, signals| {
            core.release_many_while(&handles, &numbers, || signals.may())
        })
    }
}

/// Runs a batch on copies of its arrays: another thread may write to them while the interpreter is let go. What ends it
/// before its last item tells with the attribute `done` how far it has come.
fn run<'py, R: Element + Send>(
    ledger: &Bound<'py, PyLedger>,
    name: &str,
    done: &str,
    items: usize,
    batch: impl FnOnce(&Ledger, &dyn GoOn) -> Result<Vec<R>, BatchError<R>> + Send,
) -> PyResult<Bound<'py, PyArray1<R>>> {
    let (this, py) = (ledger.get(), ledger.py());
    let core = this.core(py)?;
    let (outcome, interrupt) = until_interrupted(py, core, |signals| batch(core, signals));
    let (outcomes, fault) = match outcome {
        Ok(outcomes) => (outcomes, None),
        Err(BatchError { error, done, .. }) if matches!(*error, LedgerError::Unwritten(_)) => {
            (done, this.answer::<()>(py, Err(*error)).err())
        }
        Err(malformed) => return this.answer(py, Err(*malformed.error)),
    };
    let told = tell_alarms(ledger);
    let count = outcomes.len();
    let outcomes = outcomes.into_pyarray(py);
    match interrupt.or(fault).or(told.err()) {
        None => Ok(outcomes),
        Some(raised) => {
            let note = format!(
                "{name} ended after {count} of {items} items: `{done}` of this exception tells what came of them; \
                 the others were not looked at"
            );
            Err(telling(raised, done, outcomes.as_any(), &note))
        }
    }
}

/// Tells with an exception how far a batch has come.
fn telling(raised: PyErr, attribute: &str, outcomes: &Bound<'_, PyAny>, note: &str) -> PyErr {
    let py = outcomes.py();
    let value = raised.value(py);
    let told = value.setattr(attribute, outcomes).and_then(|()| value.call_method1("add_note", (note,)));
    if let Err(error) = told {
        error.write_unraisable(py, Some(value));
    }
    raised
}
