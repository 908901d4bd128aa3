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
mod types;
mod verify;

pub use bundle::Bundle;
pub use debit::{ResourceLine, ResourceReceipt};
pub use read::ResourceSnapshot;
pub use types::{MAX_RESOURCES, ResourceId, ResourceNames};

pub(super) use budget::{Moves, ResourceBudget, Resources};
pub(super) use types::ResourceTypes;
pub(super) use verify::{Totals, check_resources};

use capacity::Capacity;
