//! One map from the core's errors to the tree in `safeguards.exceptions`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use safeguards_core::amount::{Amount, Units};
use safeguards_core::clock::Wall;
use safeguards_core::ledger::{
    Asked, BudgetRefusal, Closed, Kind, Ledger, LedgerError, RefundFault, Settlement, WindowRefusal,
};

use crate::amount::to_decimal;
use crate::arguments::quoted;
use crate::patience::patiently;
use crate::resource_receipt::in_words;

/// When it is worth asking again what became of work that is being done.
const IN_PROGRESS_SECONDS: f64 = 1.0;

static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// An exception of the tree, by name, with its message and fields.
pub(crate) fn exception(py: Python<'_>, name: &str, message: String, fields: &Bound<'_, PyDict>) -> PyErr {
    let module = MODULE.get_or_try_init(py, || PyResult::Ok(py.import("safeguards.exceptions")?.unbind()));
    let raised = module.and_then(|module| module.bind(py).getattr(name)?.call((message,), Some(fields)));
    raised.map_or_else(|error| error, PyErr::from_value)
}

/// A `ConfigurationError`.
pub(crate) fn configuration_error(py: Python<'_>, message: impl Into<String>) -> PyErr {
    exception(py, "ConfigurationError", message.into(), &PyDict::new(py))
}

/// A `ThreadStartError`.
pub(crate) fn no_thread(py: Python<'_>, message: &str) -> PyErr {
    exception(py, "ThreadStartError", message.into(), &PyDict::new(py))
}

/// The exception that says what the core said, and what to do next.
#[cold]
pub(crate) fn to_py(py: Python<'_>, error: LedgerError, ledger: &Ledger, currency: &str) -> PyErr {
    build(py, error, ledger, currency).unwrap_or_else(|failed| failed)
}

fn build(py: Python<'_>, error: LedgerError, ledger: &Ledger, currency: &str) -> PyResult<PyErr> {
    let fields = PyDict::new(py);
    if is_of_money(&error) {
        fields.set_item("currency", currency)?;
    }
    let (name, message) = match error {
        LedgerError::UnknownAgent(id) => {
            fields.set_item("account", &*id)?;
            ("UnknownAgentError", unknown_agent(ledger, &id))
        }
        LedgerError::UnknownPool(id) => {
            fields.set_item("account", &*id)?;
            ("UnknownPoolError", unknown_pool(ledger, &id))
        }
        LedgerError::UnknownAlso(id) => {
            fields.set_item("account", &*id)?;
            let meant = meant(ledger, &id, &[Kind::Agent, Kind::Pool]);
            let text = format!(
                "also= names {}, which is neither an agent nor a pool: {meant}make it first",
                quoted(&id)
            );
            ("UnknownAgentError", text)
        }
        LedgerError::UnknownAccount(id) => {
            fields.set_item("account", &*id)?;
            let meant = meant(ledger, &id, &[Kind::Agent, Kind::Pool]);
            let text = format!("there is neither an agent nor a pool {}: {meant}make it first", quoted(&id));
            ("UnknownAgentError", text)
        }
        LedgerError::UnknownHandle(handle) => (
            "UnknownAgentError",
            format!("handle {handle} names no registered agent: ask handle(agent_id) for the current one"),
        ),
        LedgerError::UnknownResource { account, resource, known } => {
            ("UnknownResourceError", unknown_resource(&fields, &account, &resource, &known)?)
        }
        LedgerError::Pinned(id) => {
            fields.set_item("account", &*id)?;
            let text =
                "is pinned: controllers leave its budget alone until unpin; people change it themselves";
            ("PinnedError", format!("{} {text}", quoted(&id)))
        }
        LedgerError::Configuration(text) => ("ConfigurationError", text),
        LedgerError::IdempotencyConflict(key) => {
            fields.set_item("idempotency_key", &*key)?;
            let text = "was used for another operation (agent, also=, amount, operation type, ttl_seconds or overage): \
                        use a new key for a new operation";
            ("IdempotencyConflictError", format!("idempotency key {} {text}", quoted(&key)))
        }
        LedgerError::IdempotencyInProgress(key) => {
            fields.set_item("idempotency_key", &*key)?;
            fields.set_item("retry_after", IN_PROGRESS_SECONDS)?;
            let text = "is at work in a with block: ask again when that has ended";
            (
                "IdempotencyInProgressError",
                format!("what was reserved under idempotency key {} {text}", quoted(&key)),
            )
        }
        LedgerError::ReservationClosed { account, number, closed } => {
            let closed = AlreadyClosed::of(&closed, ledger);
            ("ReservationError", closed_reservation(&fields, &account, number, &closed)?)
        }
        LedgerError::ReservationForgotten { account, number } => {
            ("ReservationError", closed_reservation(&fields, &account, number, &AlreadyClosed::forgotten())?)
        }
        LedgerError::UnknownReservation(id) => {
            ("ReservationError", unknown_reservation(&fields, &id.to_string())?)
        }
        LedgerError::BudgetExceeded(refusal) if refusal.has_moved => {
            fields.set_item("account", &*refusal.account)?;
            let text = "has moved since it was found: nothing was charged; try again";
            ("BudgetExceededError", format!("{} {text}", quoted(&refusal.account)))
        }
        LedgerError::BudgetExceeded(refusal) if refusal.is_suspended => {
            ("AccountSuspendedError", refused_suspended(&fields, &refusal)?)
        }
        LedgerError::BudgetExceeded(refusal) => {
            ("BudgetExceededError", refused_budget(&fields, &refusal, ledger)?)
        }
        LedgerError::OverReserved { refusal, reserved } => {
            ("BudgetExceededError", over_reserved(&fields, &refusal, reserved)?)
        }
        LedgerError::Refund(fault) => ("RefundError", told_refund(&fields, &fault)?),
        LedgerError::BeyondOverdraftLimit(_) => ("BudgetError", error.to_string()),
        LedgerError::Unwritten(unwritten) => {
            fields.set_item("reason", &*unwritten.reason)?;
            let text = "nothing was changed, because the change cannot be written down";
            ("JournalError", format!("{text}: {}", unwritten.reason))
        }
        LedgerError::RateLimitExceeded(refusal) => {
            ("RateLimitExceededError", refused_window(&fields, &refusal, ledger)?)
        }
    };
    Ok(exception(py, name, message, &fields))
}

fn unknown_agent(ledger: &Ledger, id: &str) -> String {
    let name = quoted(id);
    if ledger.has_pool(id) {
        return format!(
            "no agent {name} is registered: {name} is a pool. Name an agent below it (get_pool_agents lists \
             them), or use what is for pools, such as get_pool_budget"
        );
    }
    let meant = meant(ledger, id, &[Kind::Agent]);
    format!("no agent {name} is registered: {meant}call register_agent first")
}

fn unknown_pool(ledger: &Ledger, id: &str) -> String {
    let name = quoted(id);
    if ledger.with_agent(id, |_| Ok(())).is_ok() {
        return format!(
            "no pool {name} exists: {name} is an agent. Name the pool above it, or use what is for agents, \
             such as get_budget"
        );
    }
    let meant = meant(ledger, id, &[Kind::Pool]);
    format!("no pool {name} exists: {meant}call create_budget_pool first")
}

/// What somebody may have meant by an id, as a part of a sentence.
fn meant(ledger: &Ledger, id: &str, kinds: &[Kind]) -> String {
    let nearest = kinds.iter().find_map(|kind| ledger.nearest(id, *kind));
    nearest.map_or_else(String::new, |nearest| format!("did you mean {}? Else ", quoted(&nearest)))
}

/// Whether the amounts of an error are money.
fn is_of_money(error: &LedgerError) -> bool {
    match error {
        LedgerError::BudgetExceeded(refusal) | LedgerError::OverReserved { refusal, .. } => {
            refusal.resource.is_none()
        }
        LedgerError::RateLimitExceeded(refusal) => refusal.resource.is_none(),
        LedgerError::Refund(_) => true,
        _ => false,
    }
}

fn unknown_resource(
    fields: &Bound<'_, PyDict>,
    account: &str,
    resource: &str,
    known: &[Arc<str>],
) -> PyResult<String> {
    fields.set_item("account", account)?;
    fields.set_item("resource", resource)?;
    fields.set_item("known", known.iter().map(|name| &**name).collect::<Vec<_>>())?;
    let advice = if known.is_empty() {
        "it has none: call initialize_budgets first".to_owned()
    } else {
        format!("it has {}", known.iter().take(10).map(|name| quoted(name)).collect::<Vec<_>>().join(", "))
    };
    Ok(format!("agent {account:?} has no budget for resource {}: {advice}", quoted(resource)))
}

/// A charge that is not given back.
pub(crate) fn refused_refund(py: Python<'_>, fault: &RefundFault) -> PyErr {
    let fields = PyDict::new(py);
    let message = told_refund(&fields, fault);
    message.map_or_else(|error| error, |message| exception(py, "RefundError", message, &fields))
}

fn told_refund(fields: &Bound<'_, PyDict>, fault: &RefundFault) -> PyResult<String> {
    let py = fields.py();
    Ok(match fault {
        RefundFault::Unknown => {
            "no charge of this coordinator is known by that, or it is forgotten: a refund takes the Receipt of a \
             debit or a settlement, the idempotency key or the id of the reservation that it was made under"
        }
        RefundFault::Resources => "charges of resources are not given back: raise the budget with update_budget",
        RefundFault::NotCharged => "nothing was charged for that reservation: settle or release it instead",
        RefundFault::TooOld => {
            "the charge is more than 24 hours ago, or too many refunds: raise the budget instead, with adjust_budget"
        }
        RefundFault::TooMuch { charged, refunded, requested } => {
            fields.set_item("charged", to_decimal(py, charged.units())?)?;
            fields.set_item("refunded", to_decimal(py, refunded.units())?)?;
            fields.set_item("requested", to_decimal(py, requested.units())?)?;
            let left = charged.saturating_sub(*refunded);
            return Ok(format!(
                "{requested} cannot be given back of {charged}, of which {refunded} were given back before: give \
                 back at most {left}"
            ));
        }
    }
    .into())
}

/// A text that names no reservation which these books know.
pub(crate) fn no_reservation(py: Python<'_>, id: &str) -> PyErr {
    let fields = PyDict::new(py);
    let message = unknown_reservation(&fields, id);
    message.map_or_else(|error| error, |message| exception(py, "ReservationError", message, &fields))
}

fn unknown_reservation(fields: &Bound<'_, PyDict>, id: &str) -> PyResult<String> {
    fields.set_item("state", "unknown")?;
    let text =
        "is unknown or forgotten: it is found while it is active, and of the ended ones the newest 100,000";
    Ok(format!("reservation {} {text}; debit what it cost", quoted(id)))
}

/// How a reservation was closed, in words.
struct AlreadyClosed {
    state: &'static str,
    text: String,
}

impl AlreadyClosed {
    fn of(closed: &Closed, ledger: &Ledger) -> Self {
        match closed {
            Closed::Settled(Settlement::Money(receipt)) => Self::settled(&receipt.amount.to_string()),
            Closed::Settled(Settlement::Resources(receipt)) => Self::settled(&in_words(ledger, receipt)),
            Closed::Released => Self::released(),
            Closed::Expired => Self::expired(),
        }
    }

    fn forgotten() -> Self {
        let text = "is unknown or forgotten: only the newest 100,000 that have ended are remembered; debit what it cost";
        Self { state: "unknown", text: text.into() }
    }

    fn settled(amount: &str) -> Self {
        let text = format!("was settled for {amount} before: what it cost beyond can be debited");
        Self { state: "settled", text }
    }

    fn released() -> Self {
        let text = "was released before: what it cost since can be debited".into();
        Self { state: "released", text }
    }

    fn expired() -> Self {
        Self { state: "expired", text: "has expired: reserve again, with a longer ttl_seconds".into() }
    }
}

fn closed_reservation(
    fields: &Bound<'_, PyDict>,
    account: &str,
    number: u64,
    closed: &AlreadyClosed,
) -> PyResult<String> {
    fields.set_item("account", account)?;
    fields.set_item("reservation", number)?;
    fields.set_item("state", closed.state)?;
    Ok(format!("reservation {number} of agent {account:?} {}", closed.text))
}

/// What an account may spend, in words: `5`, or `5 of "gpu"`.
fn requested_in_words(refusal: &BudgetRefusal) -> String {
    let requested = Units(refusal.requested);
    refusal.resource.as_ref().map_or_else(|| requested.to_string(), |name| format!("{requested} of {name:?}"))
}

fn set_books(fields: &Bound<'_, PyDict>, refusal: &BudgetRefusal, reserved: i128) -> PyResult<()> {
    let BudgetRefusal { account, balance, spent_before, requested, .. } = refusal;
    let (limit, spent) = (balance.granted - spent_before, balance.spent - spent_before);
    set_amounts(fields, account, limit, spent, reserved, *requested)?;
    set_asked(fields, refusal.asked.as_ref())?;
    fields.set_item("budget", to_decimal(fields.py(), balance.remaining)?)?;
    if let Some(resource) = &refusal.resource {
        fields.set_item("resource", &**resource)?;
    }
    Ok(())
}

fn refused_budget(fields: &Bound<'_, PyDict>, refusal: &BudgetRefusal, ledger: &Ledger) -> PyResult<String> {
    let BudgetRefusal { account, balance, .. } = refusal;
    let (limit, spent) = (balance.granted - refusal.spent_before, balance.spent - refusal.spent_before);
    set_books(fields, refusal, balance.reserved)?;
    let in_flight = balance.reserved - refusal.lapsing;
    set_in_flight(fields, in_flight, refusal.kept)?;
    let available = refusal.available() - refusal.kept;
    fields.set_item("available", to_decimal(fields.py(), available.max(0))?)?;
    let who = match (refusal.kind, &refusal.resource) {
        (Kind::Agent, _) => format!("agent {account:?}"),
        (Kind::Pool, None) => format!("pool {account:?}"),
        (Kind::Pool, Some(_)) => {
            // It belongs to no account that anybody registered.
            fields.del_item("account")?;
            "all agents together".into()
        }
    };
    let advice = match (refusal.kind, &refusal.resource) {
        (_, None) if refusal.renews_at != Wall::NEVER => {
            let wait = seconds(refusal.renews_at.0.saturating_sub(ledger.clock().wall().0).max(0));
            fields.set_item("retry_after", wait)?;
            format!("it is granted anew in {wait:.0} s")
        }
        (Kind::Agent, None) => "raise it with update_budget or transfer".into(),
        (Kind::Agent, Some(_)) => "raise it with update_budget".into(),
        (Kind::Pool, None) => "raise it with update_pool_budget".into(),
        (Kind::Pool, Some(_)) => "raise it with set_capacity".into(),
    };
    let clock = ledger.clock();
    if let Some(at) = patiently(fields.py(), ledger, || ledger.comes_back_at(refusal)) {
        let wait = seconds(at.since(clock.monotonic()).max(0));
        let renewal = fields.get_item("retry_after")?.map_or(Ok(f64::INFINITY), |it| it.extract())?;
        fields.set_item("retry_after", wait.min(renewal))?;
    }
    let may_come_back =
        refusal.resource.is_none() && in_flight > 0 && refusal.available() + in_flight >= refusal.requested;
    let or_wait = if may_come_back { ", or wait for what is reserved with timeout=" } else { "" };
    let kept = if refusal.kept == 0 {
        String::new()
    } else {
        format!(", {} kept for a call that waits", Units(refusal.kept))
    };
    let credits = match refusal.credits {
        0 => String::new(),
        units => format!(", and {} of credits, which are not transferred", Units(units)),
    };
    Ok(format!(
        "{who} cannot pay {}{}: {} of {} remain ({} spent, {} reserved{kept}{credits}); {advice}{or_wait}",
        requested_in_words(refusal),
        asker(refusal.asked.as_ref(), refusal.kind, account),
        Units(refusal.available()),
        Units(limit),
        Units(spent),
        Units(balance.reserved),
    ))
}

fn refused_suspended(fields: &Bound<'_, PyDict>, refusal: &BudgetRefusal) -> PyResult<String> {
    let BudgetRefusal { account, kind, balance, .. } = refusal;
    set_books(fields, refusal, balance.reserved)?;
    fields.set_item("available", to_decimal(fields.py(), 0)?)?;
    let who = if *kind == Kind::Pool { "pool" } else { "agent" };
    let asker = asker(refusal.asked.as_ref(), *kind, account);
    Ok(format!(
        "{who} {account:?} is suspended and begins nothing{asker}: call resume when work may begin again"
    ))
}

fn over_reserved(fields: &Bound<'_, PyDict>, refusal: &BudgetRefusal, reserved: Amount) -> PyResult<String> {
    set_books(fields, refusal, reserved.units())?;
    fields.set_item("available", to_decimal(fields.py(), reserved.units())?)?;
    Ok(format!(
        "agent {:?} reserved {reserved} and cannot settle {}: its overage policy is \"reject\"; settle at \
         most {reserved} and debit the rest",
        refusal.account,
        requested_in_words(refusal),
    ))
}

fn refused_window(fields: &Bound<'_, PyDict>, refusal: &WindowRefusal, ledger: &Ledger) -> PyResult<String> {
    let WindowRefusal { account, kind, resource, limit, spent, reserved, requested, asked, .. } = refusal;
    set_amounts(fields, account, limit.units(), *spent, *reserved, requested.units())?;
    set_asked(fields, asked.as_ref())?;
    set_in_flight(fields, *reserved, refusal.kept.units())?;
    if let Some(resource) = resource {
        fields.set_item("resource", &**resource)?;
    }
    let available = (limit.units() - spent - reserved - refusal.kept.units()).max(0);
    fields.set_item("available", to_decimal(fields.py(), available)?)?;
    fields.set_item("time_window", seconds(refusal.length))?;
    let retry_after =
        patiently(fields.py(), ledger, || ledger.fits_at(refusal)).map(|at| at.since(refusal.now));
    fields.set_item("retry_after", retry_after.map_or(f64::INFINITY, seconds))?;
    let advice = match (retry_after, reserved) {
        (None, _) => "it can never fit: lower the amount or raise the limit".into(),
        (Some(nanos), 0) => format!("it fits in {} s", seconds(nanos)),
        (Some(0), _) => "it fits when enough of what is reserved has come back".into(),
        (Some(nanos), _) => {
            format!("it fits in {} s at the soonest, if what is reserved has come back", seconds(nanos))
        }
    };
    let who = match kind {
        Kind::Agent => format!("agent {account:?}"),
        Kind::Pool => format!("pool {account:?}"),
    };
    let of = resource.as_ref().map_or_else(String::new, |name| format!(" of {name:?}"));
    Ok(format!(
        "{who} may spend {limit}{of} in {} s and cannot spend {requested} now{} ({} spent, {} reserved); {advice}",
        seconds(refusal.length),
        asker(asked.as_ref(), *kind, account),
        Units(*spent),
        Units(*reserved),
    ))
}

/// Who asked, and every account that was to be moved.
fn set_asked(fields: &Bound<'_, PyDict>, asked: Option<&Asked>) -> PyResult<()> {
    let Some(asked) = asked else { return Ok(()) };
    fields.set_item("asked_by", &**asked.by())?;
    fields.set_item("path", asked.path().iter().map(|id| &**id).collect::<Vec<_>>())
}

/// Who asked, in words, where that is not who refuses.
fn asker(asked: Option<&Asked>, kind: Kind, account: &Arc<str>) -> String {
    let other = asked.filter(|asked| asked.kind() != kind || !Arc::ptr_eq(asked.by(), account));
    other.map_or_else(String::new, |asked| match asked.kind() {
        Kind::Agent => format!(", asked by agent {:?}", asked.by()),
        Kind::Pool => format!(", asked by pool {:?}", asked.by()),
    })
}

/// What may come back, and what of it is for others.
fn set_in_flight(fields: &Bound<'_, PyDict>, reserved: i128, kept: i128) -> PyResult<()> {
    fields.set_item("in_flight", to_decimal(fields.py(), reserved)?)?;
    fields.set_item("kept", to_decimal(fields.py(), kept)?)
}

fn set_amounts(
    fields: &Bound<'_, PyDict>,
    account: &str,
    limit: i128,
    spent: i128,
    reserved: i128,
    requested: i128,
) -> PyResult<()> {
    fields.set_item("account", account)?;
    for (name, units) in
        [("limit", limit), ("spent", spent), ("reserved", reserved), ("requested", requested)]
    {
        fields.set_item(name, to_decimal(fields.py(), units)?)?;
    }
    Ok(())
}

/// Nanoseconds as seconds, for people and for `sleep`.
#[expect(clippy::cast_precision_loss, reason = "exact to the nanosecond for the first hundred days")]
pub(crate) fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}
