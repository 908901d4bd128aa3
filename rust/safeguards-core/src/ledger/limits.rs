//! The windows of one budget: of an account's money, or of one resource of an agent.

use super::balance::Movement;
use super::change::WindowSet;
use crate::amount::Amount;
use crate::clock::Monotonic;
use crate::window::Window;

/// Windows of one budget, at most: each is looked at by every debit.
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
    /// Units set aside.
    pub reserved: i128,
}

/// The windows of one budget.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// By length, shortest first.
    windows: Vec<Window>,
    /// What was refused last to whom they belong, by these windows or by some above.
    pub(super) last_refused: Amount,
}

impl Limits {
    #[inline]
    pub(super) const fn has_windows(&self) -> bool {
        !self.windows.is_empty()
    }

    pub(super) fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Whether `amount` fits into every window, beside what is reserved and what is kept. Nothing always does.
    #[inline]
    pub(super) fn fits(&mut self, now: Monotonic, amount: Amount, kept: Amount) -> bool {
        let units = amount.units() + kept.units();
        amount.is_zero() || self.windows.iter_mut().all(|window| window.fits(now, units))
    }

    /// How many units fit into every window, beside what is reserved.
    pub(super) fn room(&mut self, now: Monotonic) -> i128 {
        let rooms = self.windows.iter_mut().map(|window| window.room(now));
        rooms.min().unwrap_or(i128::MAX)
    }

    /// Whether so many units are more than a window admits.
    pub(super) fn never_holds(&self, units: i128) -> bool {
        self.windows.iter().any(|window| window.limit().units() < units)
    }

    /// The first window that `amount` does not fit into, as it is now.
    #[cold]
    pub(super) fn full(&mut self, now: Monotonic, amount: Amount, kept: Amount) -> Option<WindowSnapshot> {
        let units = amount.units() + kept.units();
        let mut windows = self.windows.iter_mut().filter(|_| !amount.is_zero());
        windows.find_map(|window| (!window.fits(now, units)).then(|| snapshot(window, now)))
    }

    /// When so many units fit into every window beside what is reserved, if only time passes; `None` if never.
    pub(super) fn fits_at(&mut self, now: Monotonic, units: i128) -> Option<Monotonic> {
        let mut windows = self.windows.iter_mut();
        windows.try_fold(now, |at, window| {
            let beside = window.reserved();
            Some(at.max(window.has_left_at(now, units.saturating_add(beside))?))
        })
    }

    /// When enough of what was charged has left every window for `amount`, whatever is reserved: it may come back at
    /// once. `None` if that never happens.
    pub(super) fn has_left_at(&mut self, now: Monotonic, amount: Amount) -> Option<Monotonic> {
        // What leaves a window never comes back by itself: it fits from the latest of the times on.
        let mut windows = self.windows.iter_mut().filter(|_| !amount.is_zero());
        windows.try_fold(now, |at, window| Some(at.max(window.has_left_at(now, amount.units())?)))
    }

    /// Every window, shortest first.
    pub(super) fn snapshots(&mut self, now: Monotonic) -> Vec<WindowSnapshot> {
        self.windows.iter_mut().map(|window| snapshot(window, now)).collect()
    }

    /// Charges what a movement charges, in the books or nowhere, and holds what it sets aside.
    pub(super) fn shift(&mut self, at: Monotonic, movement: &Movement) {
        for window in &mut self.windows {
            window.reserve(movement.reserved());
        }
        let charged = movement.spent() + movement.unpaid();
        if charged > 0 {
            self.charge(at, Amount::from_units(charged).unwrap_or(Amount::MAX));
        }
    }

    pub(super) fn charge(&mut self, at: Monotonic, amount: Amount) {
        self.windows.iter_mut().for_each(|window| window.charge(at, amount));
    }

    /// Gives back what was charged at a time, as far as it is still there.
    pub(super) fn refund(&mut self, now: Monotonic, charged: Monotonic, amount: Amount) {
        self.windows.iter_mut().for_each(|window| window.refund(now, charged, amount));
    }

    /// Sets a window. A new one counts what is reserved by then: it will be charged.
    pub(super) fn set(&mut self, set: &WindowSet, reserved: i128) {
        let WindowSet { length, limit, precision, .. } = *set;
        if let Some(window) = self.windows.iter_mut().find(|window| window.length() == length) {
            window.set_limit(limit, precision);
            return;
        }
        self.windows.reserve_exact(1); // Most have one.
        let mut window = Window::new(length, limit, precision);
        window.reserve(reserved);
        self.windows.push(window);
        self.windows.sort_unstable_by_key(Window::length);
    }

    /// Removes the window of this length, or all.
    pub(super) fn remove(&mut self, length: Option<i64>) {
        self.windows.retain(|window| length.is_some_and(|length| length != window.length()));
    }

    /// What is wrong with them, where so much is reserved in the books.
    pub(super) fn fault(&self, reserved: i128) -> Option<String> {
        if self.windows.iter().any(|window| !window.is_consistent()) {
            return Some("a window does not agree with its buckets".into());
        }
        let differs = self.windows.iter().find(|window| window.reserved() != reserved)?;
        Some(format!("reserved {} in a window is not reserved {reserved}", differs.reserved()))
    }

    /// Every window in words, for comparing two ledgers.
    pub(super) fn lines(&mut self, now: Monotonic) -> Vec<String> {
        let line = |window: &mut Window| {
            let (WindowSnapshot { length, limit, spent, reserved }, charges) =
                (snapshot(window, now), window.charges());
            format!("  window {length} limit {limit} spent {spent} reserved {reserved} {charges:?}")
        };
        self.windows.iter_mut().map(line).collect()
    }
}

fn snapshot(window: &mut Window, now: Monotonic) -> WindowSnapshot {
    let (length, limit, reserved) = (window.length(), window.limit(), window.reserved());
    WindowSnapshot { length, limit, spent: window.spent(now), reserved }
}
