//! Budgets by resource type: an agent may have, beside its money, so many calls, seconds, gigabytes.
//!
//! They stand under the lock that the agent has anyway, so that an operation on several of them is one step: all
//! or none, and nobody ever sees a part of it. A [`Capacity`] is what all agents together may spend of a resource;
//! an operation locks those that it needs after the agent, in the order of their numbers, and holds them together.

mod budget;
mod bundle;
mod capacity;
mod debit;
mod grant;
mod read;
mod reservation;
mod types;
mod verify;

pub use bundle::Bundle;
pub use debit::{ResourceLine, ResourceReceipt};
pub use read::ResourceSnapshot;
pub use reservation::{ClosedResources, ResourceRequest, ResourceReservation};
pub use types::{MAX_RESOURCES, ResourceId, ResourceNames};

pub(super) use budget::Resources;
pub(super) use types::ResourceTypes;
pub(super) use verify::{Totals, check_resources};

/// Remembered outcomes of keyed operations. A table of its own: one request may debit money and resources under
/// the same key.
pub(super) type ResourceKeys =
    super::idempotency::Keys<Bundle, ResourceReceipt, std::sync::Arc<ResourceReservation>>;

use capacity::Capacity;
