//! The sliding windows of an agent.
//!
//! An active reservation is held in every window of its agent until it is settled, and what it settles for is
//! charged then: a window counts what was *spent* in the last stretch of time, and never lets go of money that
//! is about to be. So a window needs no books of its own for reservations: what it holds is what the agent has
//! reserved.

use std::sync::Arc;

use super::Ledger;
use super::account::Account;
use super::change::AccountChange;
use super::error::{LedgerError, WindowRefusal};
use super::operation::OperationId;
use super::path::Path;
use super::state::{Limits, State};
use super::waiting::Asks;
use crate::amount::Amount;
use crate::clock::Monotonic;
use crate::window::{MAX_LENGTH_NANOS, MAX_LIMIT_UNITS, MIN_LENGTH_NANOS, Precision, Window};

/// Windows of an agent, at most: each is looked at by every debit.
pub const MAX_WINDOWS: usize = 16;

/// A window at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSnapshot {
    /// Its length in nanoseconds.
    pub length: i64,
    /// The most that it admits.
    pub limit: Amount,
    /// Units charged within it.
    pub spent: i128,
}

impl Ledger {
    /// Admits at most `limit` within any `length` nanoseconds. A window of the same length is replaced, and what
    /// was charged to it stays charged; another length adds a window.
    pub fn set_rate_limit(
        &self,
        agent: &str,
        limit: Amount,
        length: i64,
        precision: Precision,
    ) -> Result<(), LedgerError> {
        if !(MIN_LENGTH_NANOS..=MAX_LENGTH_NANOS).contains(&length) {
            let text = "time_window must be between 1 microsecond and 366 days";
            return Err(LedgerError::Configuration(text.into()));
        }
        if limit.units() > MAX_LIMIT_UNITS {
            let text = "a rate limit must not be more than 10000000000 (10^10)";
            return Err(LedgerError::Configuration(text.into()));
        }
        self.with_open_agent(agent, |account, state| {
            let windows = state.limits.as_deref().map_or(&[][..], |limits| &limits.windows);
            if windows.len() >= MAX_WINDOWS && windows.iter().all(|window| window.length() != length) {
                let text =
                    format!("agent {agent:?} has {MAX_WINDOWS} windows and gets no more: remove one first");
                return Err(LedgerError::Configuration(text));
            }
            let change = AccountChange::WindowSet { length, limit, precision };
            self.change(account, state, &change, self.instant())
        })?;
        self.serve_waiting();
        Ok(())
    }

    /// Removes the window of this length, or all of them. Returns how many there were.
    pub fn remove_rate_limit(&self, agent: &str, length: Option<i64>) -> Result<usize, LedgerError> {
        let removed = self.with_open_agent(agent, |account, state| {
            let windows = state.limits.iter().flat_map(|limits| &limits.windows);
            let goes = |window: &&Window| length.is_none_or(|length| length == window.length());
            let removed = windows.filter(goes).count();
            if removed > 0 {
                self.change(account, state, &AccountChange::WindowsRemoved(length), self.instant())?;
            }
            Ok(removed)
        })?;
        self.serve_waiting();
        Ok(removed)
    }

    /// Whether `amount` fits into every window of the agent now. Charges nothing.
    pub fn check_rate_limit(&self, agent: &str, amount: Amount) -> Result<(), LedgerError> {
        self.directory.with_agent(agent, |agent| {
            self.retry_after_expiry(|| {
                let mut state = agent.lock();
                state.check_open(agent)?;
                let windows_at = state.windows_at(self);
                windows_at
                    .map_or(Ok(()), |at| alone(state.check_windows(agent, at, amount, Asks::Once), agent))
            })
        })
    }

    /// Charges `amount` to every window of the agent if it fits into all of them. No budget is touched.
    #[inline]
    pub fn acquire(&self, agent: &str, amount: Amount) -> Result<(), LedgerError> {
        self.directory.with_agent(agent, |agent| {
            self.retry_after_expiry(|| {
                let mut state = agent.lock();
                state.check_open(agent)?;
                let Some(now) = state.windows_at(self).filter(|_| !amount.is_zero()) else { return Ok(()) };
                alone(state.check_windows(agent, now, amount, Asks::Once), agent)?;
                let at = self.instant_at(self.clock.wall_coarse(), Some(now));
                self.change(agent, &mut state, &AccountChange::Acquired(amount), at)
            })
        })
    }

    /// States that `amount` was spent elsewhere: charges every window, whether it fits or not, and adds to the
    /// usage history. No budget is touched.
    pub fn record_usage(
        &self,
        agent: &str,
        amount: Amount,
        operation: OperationId,
    ) -> Result<(), LedgerError> {
        let at = self.instant();
        self.with_open_agent(agent, |account, state| {
            if amount.is_zero() {
                return Ok(());
            }
            self.change(account, state, &AccountChange::Recorded { amount, operation }, at)
        })
    }

    /// Nanoseconds until `amount` fits if nothing else happens, or what was refused last if no amount is given:
    /// zero if it fits, if nothing was refused, or without a limit; `None` if it can never fit.
    pub fn retry_after(&self, agent: &str, amount: Option<Amount>) -> Result<Option<i64>, LedgerError> {
        self.expire_due();
        self.with_open_agent(agent, |_, state| {
            let now = self.clock.monotonic();
            let amount = amount.or(state.limits.as_deref().map(|limits| limits.last_refused));
            Ok(state.fits_at(now, amount.unwrap_or_default()).map(|at| at.since(now)))
        })
    }

    /// When what a window has refused fits into all windows of its agent, if nothing else happens; `None` if never.
    /// Only who asks pays for the answer.
    #[must_use]
    pub fn fits_at(&self, refusal: &WindowRefusal) -> Option<Monotonic> {
        let WindowRefusal { account, now, requested, .. } = refusal;
        let fits_at = self.with_open_agent(account, |_, state| Ok(state.fits_at(*now, *requested)));
        // An agent that has left since is held up by no window.
        fits_at.unwrap_or(Some(*now))
    }

    /// Every window of the agent, shortest first.
    pub fn windows(&self, agent: &str) -> Result<Vec<WindowSnapshot>, LedgerError> {
        let now = self.clock.monotonic();
        self.with_open_agent(agent, |_, state| {
            let windows = state.limits().into_iter().flat_map(|limits| &mut limits.windows);
            let snapshot = |window: &mut Window| WindowSnapshot {
                length: window.length(),
                limit: window.limit(),
                spent: window.spent(now),
            };
            Ok(windows.map(snapshot).collect())
        })
    }

    fn with_open_agent<R>(
        &self,
        agent: &str,
        mut act: impl FnMut(&Account, &mut State) -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        self.directory.with_agent(agent, |agent| {
            let mut state = agent.lock();
            state.check_open(agent)?;
            act(agent, &mut state)
        })
    }
}

/// A refusal of the windows alone.
fn alone(admitted: Result<(), Box<WindowRefusal>>, agent: &Arc<Account>) -> Result<(), LedgerError> {
    admitted.map_err(|refused| LedgerError::from(refused).asked(Path::of(agent), OperationId::NONE))
}

impl State {
    /// Whether the agent has windows.
    #[inline]
    pub(super) fn has_windows(&self) -> bool {
        self.limits.as_deref().is_some_and(|limits| !limits.windows.is_empty())
    }

    /// The time for the agent's windows, if it has any: reading the clock costs as much as a lock.
    #[inline]
    pub(super) fn windows_at(&self, ledger: &Ledger) -> Option<Monotonic> {
        self.has_windows().then(|| ledger.clock.monotonic())
    }

    /// Whether `amount` fits into every window of the agent, beside what is reserved.
    #[inline]
    pub(super) fn fits(&mut self, now: Monotonic, amount: Amount, asks: Asks) -> bool {
        let held = self.held_in_windows(asks);
        let mut windows = self.limits().into_iter().flat_map(|limits| &mut limits.windows);
        amount.is_zero() || windows.all(|window| window.fits(now, held, amount))
    }

    /// Refuses what does not fit into one of the agent's windows, beside what is reserved.
    #[inline]
    pub(super) fn check_windows(
        &mut self,
        agent: &Account,
        now: Monotonic,
        amount: Amount,
        asks: Asks,
    ) -> Result<(), Box<WindowRefusal>> {
        let (reserved, held) = (self.books.balance.reserved, self.held_in_windows(asks));
        let kept = Amount::from_units(held - reserved).unwrap_or_default();
        let is_lenient = self.mode.is_lenient();
        let Some(limits) = self.limits().filter(|_| !amount.is_zero() && !is_lenient) else { return Ok(()) };
        match limits.windows.iter_mut().position(|window| !window.fits(now, held, amount)) {
            None => Ok(()),
            Some(full) => {
                if asks.is_counted() {
                    limits.last_refused = amount;
                }
                Err(Box::new(limits.refusal(full, now, (reserved, kept), agent, amount)))
            }
        }
    }

    /// What the windows hold beside what was charged: what is reserved, and what is kept for somebody else.
    #[inline]
    fn held_in_windows(&self, asks: Asks) -> i128 {
        let kept = if self.keeps && !asks.is_favored() { self.kept_in_windows() } else { Amount::ZERO };
        self.books.balance.reserved + kept.units()
    }

    /// How much fits into all windows now.
    pub(super) fn window_room(&mut self, now: Monotonic) -> i128 {
        let held = self.books.balance.reserved;
        let windows = self.limits().into_iter().flat_map(|limits| &mut limits.windows);
        let rooms = windows.map(|window| window.limit().units() - window.spent(now) - held);
        rooms.min().unwrap_or(i128::MAX)
    }

    /// When so many units fit into the windows, if nothing else happens, or what is kept room for.
    pub(super) fn next_room(&mut self, now: Monotonic, needs: i128) -> Monotonic {
        let kept = self.kept_in_windows();
        let amount = if kept.is_zero() { Amount::from_units(needs).unwrap_or_default() } else { kept };
        self.fits_at(now, amount).unwrap_or(Monotonic::NEVER)
    }

    /// When `amount` fits into all windows at once, if nothing else happens.
    fn fits_at(&mut self, now: Monotonic, amount: Amount) -> Option<Monotonic> {
        if amount.is_zero() || !self.has_windows() {
            return Some(now); // Nothing is always admitted, even beyond the limit.
        }
        let held = self.books.balance.reserved;
        let (limits, holds) = self.limits_beside_holds();
        // What leaves a window never comes back by itself: it fits from the latest of the times on.
        limits?.windows.iter_mut().try_fold(now, |at, window| {
            let given_back = holds.map(|holds| holds.money_by_deadline(now.plus(window.length())));
            Some(at.max(window.fits_at(now, held, given_back.into_iter().flatten(), amount)?))
        })
    }
}

impl Limits {
    #[cold]
    fn refusal(
        &mut self,
        full: usize,
        now: Monotonic,
        (reserved, kept): (i128, Amount),
        agent: &Account,
        amount: Amount,
    ) -> WindowRefusal {
        let window = &mut self.windows[full];
        WindowRefusal {
            account: agent.id().clone(),
            limit: window.limit(),
            spent: window.spent(now),
            reserved,
            requested: amount,
            kept,
            length: window.length(),
            now,
            asked: None,
        }
    }
}
