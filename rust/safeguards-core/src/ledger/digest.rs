//! The state of a ledger as text and as a hash: what decides later operations, and nothing else.
//!
//! Two ledgers with the same state do the same from then on. A ledger that was made again out of its changes has the
//! state of the one that wrote them. Counts of refusals, usage histories, timers, and what has aged out at the given
//! instant are no part of it.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Ledger;
use super::account::Account;
use super::change::Instant;
use super::state::State;
use crate::clock::Monotonic;

impl Ledger {
    /// A hash of the [state](Self::state_lines). To be asked while nobody changes anything.
    #[must_use]
    pub fn state_hash(&self, at: Instant) -> [u8; 32] {
        let mut hash = Sha256::new();
        for line in self.state_lines(at) {
            hash.update(line);
            hash.update(b"\n");
        }
        hash.finalize().into()
    }

    /// The state, a line for each part of it. To be asked while nobody changes anything. The form is for comparing two
    /// ledgers of one version, not for keeping.
    #[must_use]
    pub fn state_lines(&self, at: Instant) -> Vec<String> {
        let mut lines = self.names();
        let mut accounts = self.agents();
        accounts.extend(self.directory.pools());
        accounts.sort_unstable_by_key(|account| account.number);
        for account in &accounts {
            account_lines(account, &mut account.lock(), at.monotonic, &mut lines);
        }
        lines.extend(self.resource_types.capacities().lines());
        lines.push(format!("pinned {:?}", self.pinned()));
        lines.push(format!("slots {:?}", self.directory.slots().uses()));
        lines.extend(self.ends(at.monotonic));
        lines
    }

    fn names(&self) -> Vec<String> {
        vec![
            format!("operations {:?}", self.operations.all()),
            format!("resources {:?}", self.resource_types.all()),
        ]
    }

    /// Keys, and how reservations ended.
    fn ends(&self, now: Monotonic) -> Vec<String> {
        let mut keys: Vec<_> = self.keys.all(now).into_iter().chain(self.resource_keys.all(now)).collect();
        keys.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let keys = keys.iter().map(|(key, payload, effect)| format!("key {key:?} {payload:?} {effect:?}"));
        keys.chain(self.closures.lines()).chain(self.refunds.lines(now)).collect()
    }
}

fn account_lines(account: &Arc<Account>, state: &mut State, now: Monotonic, lines: &mut Vec<String>) {
    let mut line = format!("account {} {:?} {:?}", account.number.0, account.kind(), account.id);
    let parent = account.parent.as_ref().map_or(0, |parent| parent.number.0);
    let _ = write!(line, " below {parent} slot {} priority {}", account.slot(), state.priority);
    let _ = write!(line, " closed {} events {}", state.closed, state.history.sequence());
    let _ = write!(line, " {:?} {:?} {:?}", state.books, state.pool(), state.renewals());
    let _ = write!(line, " unpaid {} refunded {} {:?}", state.unpaid(), state.refunded(), state.mode);
    let _ = write!(line, " limits {:?} {:?}", state.overdraft_limit(), state.max_budget());
    lines.push(line);
    for at in 0..state.budgets().len() {
        let budget = &state.budgets()[at];
        let (id, capacity) = (budget.id, budget.capacity.is_some());
        let (name, books, sequence) = (&budget.name, &budget.books, budget.history.sequence());
        lines.push(format!("  resource {name:?} {books:?} events {sequence} below {capacity}"));
        lines.extend(state.limits_of(Some(id)).into_iter().flat_map(|limits| limits.lines(now)));
    }
    lines.extend(state.purse().into_iter().flat_map(|purse| purse.lines(&state.books.balance)));
    if let Some(holds) = state.holds.as_deref() {
        lines.extend(holds.lines());
    }
    lines.extend(state.limits().into_iter().flat_map(|limits| limits.lines(now)));
}
