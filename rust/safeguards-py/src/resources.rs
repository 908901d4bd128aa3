//! Budgets by resource type. `MultiResourceBudget` inherits these methods.

use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDict, PyTuple};
use safeguards_core::ledger::{
    Account, Bundle, Ledger, LedgerError, Once, Overage, Request, Reservation, ResourceSnapshot,
};

use crate::amount::{charge, grant, to_decimal};
use crate::amounts::{Amounts, Given, by_resource, to_dict};
use crate::arguments::{
    AskedLeaving, check_id, coordinator, datetime, flag, leaving_fault, operation, optional_text, terms,
    text, ttl_seconds,
};
use crate::clock::from_datetime;
use crate::handle::{Holder, Leaving};
use crate::ledger::{PyLedger, admitted, answer_told, tell_alarms};
use crate::patience::{at_length, patiently};
use crate::reports;
use crate::resource_receipt::PyResourceReceipt;
use crate::resource_reservation::PyResourceReservation;

/// The budgets behind `MultiResourceBudget`, which inherits every method from here.
///
/// Examples of its methods start from a `multi_resource` of a `coordinator` whose agent `"bot"` may spend 100
/// `"calls"` and 10 `"seconds"`.
///
/// Args:
///     budget_coordinator: the coordinator of the agents.
#[pyclass(frozen, subclass, weakref, module = "safeguards._native", name = "ResourceBudgets")]
pub(crate) struct PyResourceBudgets {
    ledger: Py<PyLedger>,
}

/// What `reserve` was asked for.
struct Asked<'py, 'a> {
    amounts: &'a Bound<'py, PyAny>,
    ttl_seconds: f64,
    overage: &'a str,
    operation_type: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    leaving: AskedLeaving<'a, 'py>,
}

/// A reservation, and what a `with` block settles for that is left by an exception.
type Made = (Once<Reservation<Bundle>>, Leaving<Bundle>);

impl PyResourceBudgets {
    /// The reservation, and what a `with` block settles for that is left by an exception.
    fn reserve_with(
        &self,
        py: Python<'_>,
        agent_id: &str,
        asked: &Asked<'_, '_>,
    ) -> PyResult<Result<Made, LedgerError>> {
        let core = self.ledger.get().core(py)?;
        let amounts = by_resource(asked.amounts, "amounts")?;
        let on_cancel = asked.leaving.on_cancel.map(|given| by_resource(given, "on_cancel")).transpose()?;
        let on_error = asked.leaving.on_error.map(|given| by_resource(given, "on_error")).transpose()?;
        let (on_cancel, on_error) = (on_cancel.unwrap_or_default(), on_error.unwrap_or_default());
        let cut_off = asked.leaving.classes()?;
        let (mut given, mut cancelled, mut failed) = (Given::default(), Given::default(), Given::default());
        given.charge(core, &amounts, "amounts")?;
        cancelled.charge(core, &on_cancel, "on_cancel")?;
        failed.charge(core, &on_error, "on_error")?;
        let (ttl_nanos, overage) = terms(py, asked.ttl_seconds, asked.overage)?;
        let operation = operation(self.ledger.get(), py, asked.operation_type)?;
        let key = asked.idempotency_key;
        let made = patiently(py, core, || {
            core.with_agent(agent_id, |agent| {
                let bundle = given.bundle(core, agent)?;
                let left = |asked: &mut Given<'_>, argument: &str| {
                    let left = asked.bundle(core, agent)?;
                    core.check_known(agent, left)?;
                    check_leaving(core, overage, left, bundle, argument)?;
                    Ok::<_, LedgerError>(left.clone())
                };
                let (on_cancel, on_error) =
                    (left(&mut cancelled, "on_cancel")?, left(&mut failed, "on_error")?);
                let request = Request { what: bundle.clone(), ttl_nanos, overage, operation };
                let held = match key {
                    None => core.reserve(agent, &request).map(Once::first),
                    Some(key) => core.reserve_keyed(agent, &request, key),
                };
                Ok((held?, on_cancel, on_error))
            })
        });
        Ok(made.map(|(held, on_cancel, on_error)| (held, Leaving { on_cancel, on_error, cut_off })))
    }

    /// What the core answered about an agent.
    fn of_agent<R: Send>(
        &self,
        py: Python<'_>,
        agent_id: &str,
        mut ask: impl FnMut(&Ledger, &Arc<Account>) -> Result<R, LedgerError> + Send,
    ) -> PyResult<R> {
        let (this, core) = (self.ledger.get(), self.ledger.get().core(py)?);
        this.answer(py, patiently(py, core, || core.with_agent(agent_id, |agent| ask(core, agent))))
    }
}

/// Refuses what a `with` block that is left by an exception could never settle for.
fn check_leaving(
    core: &Ledger,
    overage: Overage,
    left: &Bundle,
    reserved: &Bundle,
    argument: &str,
) -> Result<(), LedgerError> {
    let fault = left.iter().find_map(|(resource, amount)| {
        let argument = format!("{argument}[{:?}]", core.resource_name(resource));
        leaving_fault(overage, amount, reserved.get(resource), &argument)
    });
    fault.map_or(Ok(()), |text| Err(LedgerError::Configuration(text)))
}

#[pymethods]
impl PyResourceBudgets {
    #[new]
    fn new(#[pyo3(from_py_with = coordinator::budget_coordinator)] budget_coordinator: Py<PyLedger>) -> Self {
        Self { ledger: budget_coordinator }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.ledger)
    }

    // Budgets.

    /// Gives an agent these resources and no others. Called again it replaces them: the books begin anew.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     budgets: what it may spend, by resource type; more than 9 decimal places are rounded down.
    ///     exist_ok: resources that the agent has keep what remains, and only the others are added: what a
    ///         program says that begins with books which may be there already.
    ///
    /// Raises:
    ///     InvalidAmountError: a budget is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     ConfigurationError: a resource type is empty or longer than 512 bytes, it is the 1,025th, or
    ///         reservations of the agent's resources are active.
    ///
    /// Example:
    ///     >>> multi_resource.initialize_budgets("bot", {"calls": 50, "gigabytes": "2.5"})
    ///     >>> multi_resource.get_budgets("bot")
    ///     {'calls': Decimal('50'), 'gigabytes': Decimal('2.5')}
    #[pyo3(signature = (agent_id, budgets, *, exist_ok=false))]
    fn initialize_budgets(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        budgets: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = flag::exist_ok)] exist_ok: bool,
    ) -> PyResult<()> {
        let items = by_resource(budgets, "budgets")?;
        let amounts = Amounts::granted(&items, "budgets")?;
        for (name, _) in amounts.iter() {
            check_id(py, "a resource type", name)?;
        }
        let this = self.ledger.get();
        let budgets: Vec<_> = amounts.iter().collect();
        let set = |core: &Ledger| {
            if exist_ok {
                core.ensure_resources(agent_id, &budgets)
            } else {
                core.initialize_resources(agent_id, &budgets)
            }
        };
        this.answer(py, this.ask(py, set)?)
    }

    /// Makes `budget` of a resource remain for an agent. Reservations are untouched.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     resource_type: one of its resources.
    ///     budget: what it may spend from now on; more than 9 decimal places are rounded down.
    ///
    /// Raises:
    ///     InvalidAmountError: `budget` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     UnknownResourceError: the agent has no budget for this resource.
    ///
    /// Example:
    ///     >>> multi_resource.update_budget("bot", "calls", 5)
    ///     >>> multi_resource.get_budget("bot", "calls")
    ///     Decimal('5')
    fn update_budget(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
        budget: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (this, budget) = (self.ledger.get(), grant(budget, "budget")?);
        this.answer(py, this.ask(py, |core| core.update_resource(agent_id, resource_type, budget))?)
    }

    /// What an agent has left of a resource, negative only after an overdraft.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///     UnknownResourceError: the agent has no budget for this resource.
    ///
    /// Example:
    ///     >>> multi_resource.get_budget("bot", "seconds")
    ///     Decimal('10')
    fn get_budget<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        to_decimal(
            py,
            self.of_agent(py, agent_id, |core, agent| core.resource_remaining(agent, resource_type))?,
        )
    }

    /// What an agent has left of each of its resources, all at one instant.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> multi_resource.get_budgets("bot")
    ///     {'calls': Decimal('100'), 'seconds': Decimal('10')}
    fn get_budgets<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let resources = self.of_agent(py, agent_id, |core, agent| core.resources(agent))?;
        to_dict(py, resources.iter().map(|found| (&*found.resource, found.balance.remaining)))
    }

    /// The resource types that an agent has budgets for, in the order in which they were first named.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> multi_resource.get_resource_types("bot")
    ///     ['calls', 'seconds']
    fn get_resource_types(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Vec<String>> {
        let resources = self.of_agent(py, agent_id, |core, agent| core.resources(agent))?;
        Ok(resources.iter().map(|found| found.resource.to_string()).collect())
    }

    /// Whether a debit of `amount` would be admitted now, by the agent's budget and by the capacity.
    ///
    /// It may no longer be a moment later: `try_debit` asks and charges in one step.
    ///
    /// Raises:
    ///     InvalidAmountError: `amount` is not an amount.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     UnknownResourceError: the agent has no budget for this resource.
    ///
    /// Example:
    ///     >>> multi_resource.has_sufficient_budget("bot", "seconds", 10)
    ///     True
    ///     >>> multi_resource.has_sufficient_budget("bot", "minutes", 1)
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.UnknownResourceError: agent "bot" has no budget for resource "minutes"...
    fn has_sufficient_budget(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
        amount: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let amount = charge(amount, "amount")?;
        let fits = self.of_agent(py, agent_id, |core, agent| {
            let resource = core.resource_names().find(resource_type);
            let resource = resource.ok_or_else(|| core.unknown_resource(agent, resource_type))?;
            admitted(core.check_resources(agent, &Bundle::of(resource, amount)))
        })?;
        Ok(fits.is_some())
    }

    // Debits and reservations.

    /// Charges an agent several resources in one step: all of them or none. Nobody ever sees a part of it.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     amounts: how much of which resource types; more than 9 decimal places are rounded up.
    ///     operation_type: what for, at most 256 bytes; the usage history can be read by it.
    ///     idempotency_key: of 1 to 256 bytes; a repetition with the same key, agent, amounts and operation
    ///         type has no effect and the first receipt, with `is_repeat`. The keys are not those of the
    ///         coordinator's debits: one request may use its key for both.
    ///
    /// Returns:
    ///     What was charged, and what remains of these resources.
    ///
    /// Raises:
    ///     InvalidAmountError: an amount is not one.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     UnknownResourceError: the agent has no budget for one of the resources.
    ///     BudgetExceededError: a budget or a capacity cannot pay; `resource` says which, and nothing was
    ///         changed.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> multi_resource.debit("bot", {"calls": 1, "seconds": "2.5"})
    ///     ResourceReceipt(amounts={calls: 1, seconds: 2.5}, remaining={calls: 99, seconds: 7.5})
    ///     >>> multi_resource.debit("bot", {"calls": 1, "seconds": 8})
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.BudgetExceededError: agent "bot" cannot pay 8 of "seconds": 7.5 of 10...
    ///     >>> multi_resource.get_budget("bot", "calls")
    ///     Decimal('99')
    #[pyo3(signature = (agent_id, amounts, *, operation_type=None, idempotency_key=None))]
    fn debit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amounts: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
    ) -> PyResult<PyResourceReceipt> {
        let (this, items) = (self.ledger.get(), by_resource(amounts, "amounts")?);
        let (core, mut given) = (this.core(py)?, Given::default());
        given.charge(core, &items, "amounts")?;
        let operation = operation(this, py, operation_type)?;
        let outcome = patiently(py, core, || {
            core.with_agent(agent_id, |agent| {
                let bundle = given.bundle(core, agent)?;
                match idempotency_key {
                    None => core.debit(agent, bundle, operation).map(Once::first),
                    Some(key) => core.debit_keyed(agent, bundle, operation, key),
                }
            })
        });
        let receipt = answer_told(self.ledger.bind(py), outcome)?;
        tell_alarms(self.ledger.bind(py))?;
        Ok(PyResourceReceipt::new(self.ledger.get().books(), receipt))
    }

    /// As `debit`, but tells with a bool whether it was admitted: the form for hot loops.
    ///
    /// Raises:
    ///     InvalidAmountError: an amount is not one.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     UnknownResourceError: the agent has no budget for one of the resources.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> multi_resource.try_debit("bot", {"calls": 1, "seconds": 8})
    ///     True
    ///     >>> multi_resource.try_debit("bot", {"calls": 1, "seconds": 8})
    ///     False
    #[pyo3(signature = (agent_id, amounts, *, operation_type=None, idempotency_key=None))]
    fn try_debit(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amounts: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
    ) -> PyResult<bool> {
        let (this, items) = (self.ledger.get(), by_resource(amounts, "amounts")?);
        let (core, mut given) = (this.core(py)?, Given::default());
        given.charge(core, &items, "amounts")?;
        let operation = operation(this, py, operation_type)?;
        let outcome = patiently(py, core, || {
            core.with_agent(agent_id, |agent| {
                let bundle = given.bundle(core, agent)?;
                match idempotency_key {
                    None => core.try_debit(agent, bundle, operation),
                    Some(key) => core.debit_keyed(agent, bundle, operation, key).map(|_| ()),
                }
            })
        });
        let done = answer_told(self.ledger.bind(py), admitted(outcome))?;
        tell_alarms(self.ledger.bind(py))?;
        Ok(done.is_some())
    }

    /// Sets aside the most that a piece of work can take, all or none; settle it for what it took.
    ///
    /// As a context manager it is kept alive while the body runs. Leaving the body settles what was reserved,
    /// unless the body settled or released it itself. Cut off, or left by an error, it does what is said of
    /// `BudgetCoordinator.reserve`.
    ///
    /// Args:
    ///     agent_id: the agent.
    ///     amounts: the most of each resource type; more than 9 decimal places are rounded up.
    ///     ttl_seconds: seconds until it is given back by itself, above 0.
    ///     overage: what settling for more of a resource may do. `"allow_with_overdraft"` charges it,
    ///         whatever remains: what was spent is a fact. `"allow_if_available"` charges it if every budget
    ///         and capacity has room for the excess. `"reject"` refuses it.
    ///     operation_type: what for, at most 256 bytes.
    ///     idempotency_key: of 1 to 256 bytes. A repetition with the same key, agent, amounts, operation
    ///         type, `ttl_seconds` and `overage` returns the same reservation while it is active or settled,
    ///         with `is_repeat`. One that was released or has expired has no effect: the next request under
    ///         its key is decided anew.
    ///     on_cancel: what a `with` block that is cut off settles for; nothing if not given.
    ///     on_error: what one that ends with an error settles for; nothing if not given.
    ///     cut_off: a class of errors, or a tuple of them, that cut it off as well.
    ///
    /// Raises:
    ///     InvalidAmountError: an amount is not one.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     UnknownResourceError: the agent has no budget for one of the resources.
    ///     ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
    ///         `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
    ///         bytes, or a key is empty or longer than that.
    ///     BudgetExceededError: a budget or a capacity cannot pay; nothing was changed.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> with multi_resource.reserve("bot", {"calls": 1, "seconds": 8}) as reservation:
    ///     ...     receipt = reservation.settle({"calls": 1, "seconds": "2.5"})
    ///     >>> multi_resource.get_budgets("bot")
    ///     {'calls': Decimal('99'), 'seconds': Decimal('7.5')}
    #[pyo3(signature = (agent_id, amounts, *, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None, on_error=None, cut_off=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn reserve(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amounts: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text::overage)] overage: &str,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
        on_error: Option<&Bound<'_, PyAny>>,
        cut_off: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyResourceReservation> {
        let leaving = AskedLeaving { on_cancel, on_error, cut_off };
        let asked = Asked { amounts, ttl_seconds, overage, operation_type, idempotency_key, leaving };
        let outcome = self.reserve_with(py, agent_id, &asked)?;
        let ledger = self.ledger.bind(py);
        let (held, leaving) = answer_told(ledger, outcome)?;
        PyResourceReservation::new(ledger, held, leaving, Holder::of_key(idempotency_key))?
            .once_told(py, tell_alarms(ledger))
    }

    /// As `reserve`, but returns None if a budget or a capacity refuses.
    ///
    /// Raises:
    ///     InvalidAmountError: an amount is not one.
    ///     UnknownAgentError: no agent of this id is registered.
    ///     UnknownResourceError: the agent has no budget for one of the resources.
    ///     ConfigurationError: `ttl_seconds` is not positive and finite, `overage` is none of the three,
    ///         `on_cancel` or `on_error` is more than is reserved under `"reject"`, a name is longer than 256
    ///         bytes, or a key is empty or longer than that.
    ///     IdempotencyConflictError: the key was used for another operation.
    ///     IdempotencyInProgressError: what was reserved under the key is at work in a `with` block.
    ///
    /// Example:
    ///     >>> multi_resource.try_reserve("bot", {"calls": 1, "seconds": 11}) is None
    ///     True
    #[pyo3(signature = (agent_id, amounts, *, ttl_seconds=900.0, overage="allow_with_overdraft", operation_type=None, idempotency_key=None, on_cancel=None, on_error=None, cut_off=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn try_reserve(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        amounts: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = ttl_seconds)] ttl_seconds: f64,
        #[pyo3(from_py_with = text::overage)] overage: &str,
        #[pyo3(from_py_with = optional_text::operation_type)] operation_type: Option<&str>,
        #[pyo3(from_py_with = optional_text::idempotency_key)] idempotency_key: Option<&str>,
        on_cancel: Option<&Bound<'_, PyAny>>,
        on_error: Option<&Bound<'_, PyAny>>,
        cut_off: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<PyResourceReservation>> {
        let leaving = AskedLeaving { on_cancel, on_error, cut_off };
        let asked = Asked { amounts, ttl_seconds, overage, operation_type, idempotency_key, leaving };
        let outcome = self.reserve_with(py, agent_id, &asked)?;
        let ledger = self.ledger.bind(py);
        let made = answer_told(ledger, admitted(outcome))?;
        let told = tell_alarms(ledger);
        let Some((held, leaving)) = made else { return told.map(|()| None) };
        PyResourceReservation::new(ledger, held, leaving, Holder::of_key(idempotency_key))?
            .once_told(py, told)
            .map(Some)
    }

    // Capacities.

    /// Makes `capacity` of a resource remain for all agents together, whatever their budgets add up to.
    ///
    /// From then on every debit and reservation passes it in the same step as the agent's budget. The first
    /// time counts what the agents have reserved by then, and stops all of them for that long.
    ///
    /// Args:
    ///     resource_type: the resource type; no agent need have it yet.
    ///     capacity: what all may spend from now on; more than 9 decimal places are rounded down.
    ///
    /// Raises:
    ///     InvalidAmountError: `capacity` is not an amount.
    ///     ConfigurationError: the resource type is empty or too long, or the 1,025th.
    ///
    /// Example:
    ///     >>> multi_resource.set_capacity("calls", 30)
    ///     >>> multi_resource.debit("bot", {"calls": 40})
    ///     Traceback (most recent call last):
    ///     safeguards.exceptions.BudgetExceededError: all agents together cannot pay 40 of "calls", asked...
    fn set_capacity(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
        capacity: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (this, capacity) = (self.ledger.get(), grant(capacity, "capacity")?);
        check_id(py, "a resource type", resource_type)?;
        let core = this.core(py)?;
        this.answer(py, at_length(py, core, || core.set_capacity(resource_type, capacity)))
    }

    /// Lets agents spend a resource within their own budgets only.
    ///
    /// Returns:
    ///     Whether a capacity was set.
    ///
    /// Example:
    ///     >>> multi_resource.set_capacity("calls", 30)
    ///     >>> multi_resource.remove_capacity("calls"), multi_resource.remove_capacity("calls")
    ///     (True, False)
    fn remove_capacity(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
    ) -> PyResult<bool> {
        let core = self.ledger.get().core(py)?;
        self.ledger.get().answer(py, at_length(py, core, || core.remove_capacity(resource_type)))
    }

    /// What all agents together may still spend of a resource; None if no capacity is set.
    ///
    /// Example:
    ///     >>> multi_resource.set_capacity("calls", 30)
    ///     >>> multi_resource.try_debit("bot", {"calls": 1})
    ///     True
    ///     >>> multi_resource.get_capacity("calls"), multi_resource.get_capacity("seconds")
    ///     (Decimal('29'), None)
    fn get_capacity<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.ledger.get().ask(py, |core| core.capacity(resource_type))?;
        found.map(|found| to_decimal(py, found.balance.remaining)).transpose()
    }

    // Looking.

    fn _metrics<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let found = self.of_agent(py, agent_id, |core, agent| core.resource(agent, resource_type))?;
        reports::resource(py, &found)
    }

    fn _all_metrics<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for found in self.of_agent(py, agent_id, |core, agent| core.resources(agent))? {
            dict.set_item(&*found.resource, reports::resource(py, &found)?)?;
        }
        Ok(dict)
    }

    fn _capacity_metrics<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let found: Option<ResourceSnapshot> =
            self.ledger.get().ask(py, |core| core.capacity(resource_type))?;
        found.map(|found| reports::resource(py, &found)).transpose()
    }

    fn _usage<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
        #[pyo3(from_py_with = datetime::start_time)] start_time: Bound<'py, PyDateTime>,
        #[pyo3(from_py_with = datetime::end_time)] end_time: Bound<'py, PyDateTime>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (start, end) = (from_datetime(&start_time)?, from_datetime(&end_time)?);
        let usage =
            self.of_agent(py, agent_id, |core, agent| core.resource_usage(agent, resource_type, start, end))?;
        usage.iter().map(|usage| reports::usage(py, &self.ledger.get().ledger, usage)).collect()
    }

    fn _events<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        #[pyo3(from_py_with = text::resource_type)] resource_type: &str,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let events = self.of_agent(py, agent_id, |core, agent| core.resource_events(agent, resource_type))?;
        let ledger = &self.ledger.get().ledger;
        events.into_iter().map(|event| reports::event(py, ledger, &(event, None))).collect()
    }
}
