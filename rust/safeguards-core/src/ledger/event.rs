//! What happened to an account, in bounded memory: the latest events as they were, older usage in hours.

use std::collections::VecDeque;

use super::operation::OperationId;
use super::sums::Sums;
use crate::amount::Amount;
use crate::clock::Wall;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Charged in one step.
    Debit,
    /// Set aside.
    Reserve,
    /// Charged out of a reservation; the rest was given back.
    Settle,
    /// As [`Settle`](Self::Settle), for what it was agreed to cost if nobody says: the caller told no amount.
    DefaultSettle,
    /// Charged for a reservation that had expired.
    LateSettle,
    /// A reservation was given back.
    Release,
    /// A reservation was given back because its time was over.
    Expire,
    /// The remaining budget was set.
    Update,
    /// The remaining budget was set by the period of a pool.
    Renew,
    /// Budget was added within a period.
    Raise,
    /// Budget was taken away within a period.
    Lower,
    /// What later periods begin with was set.
    PeriodBudget,
    /// Work may no longer begin.
    Suspend,
    /// Work may begin again.
    Resume,
    /// What is done where the account cannot pay was set.
    Enforcement,
    /// Its priority was set.
    Priority,
    /// It was put below another pool.
    Move,
    /// What it may be granted in a period was set; 0 where that is not bounded any more.
    MaxBudget,
    /// It would have refused, and does not enforce.
    WouldRefuse,
    /// How far below zero facts may take the account was set; 0 where that is not bounded any more.
    OverdraftLimit,
    /// Budget left for another agent.
    TransferOut,
    /// Budget came from another agent.
    TransferIn,
    /// Spending that did not pass the ledger, stated as a fact.
    Recorded,
    /// What a settlement cost beyond an overdraft limit: charged nowhere, and a fact all the same.
    Unpaid,
    /// Part of a charge was given back.
    Refund,
    /// Money came that ends by itself.
    Credit,
    /// What was left of a credit is gone, or what has come back to it since it ended.
    CreditEnd,
}

/// Where a usage came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Charged to the books.
    Ledger,
    /// Stated, not charged.
    Recorded,
    /// Cost beyond an overdraft limit: not charged.
    Unpaid,
}

impl EventKind {
    /// Whether something is charged out of a reservation that is active.
    #[inline]
    pub(super) const fn settles(self) -> bool {
        matches!(self, Self::Settle | Self::DefaultSettle)
    }

    /// Where the usage came from, or `None` if this is no usage.
    #[must_use]
    pub const fn usage(self) -> Option<Source> {
        match self {
            Self::Debit | Self::Settle | Self::DefaultSettle | Self::LateSettle => Some(Source::Ledger),
            Self::Recorded => Some(Source::Recorded),
            Self::Unpaid => Some(Source::Unpaid),
            _ => None,
        }
    }
}

/// One event of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Position in the account's history: 1, 2, 3 and so on, without gaps.
    pub sequence: u64,
    /// When it happened.
    pub at: Wall,
    /// The amount that moved; for `Update` and `Renew`, the amount that remained afterwards.
    pub amount: Amount,
    /// What happened.
    pub kind: EventKind,
    /// What for.
    pub operation: OperationId,
}

/// Usage of one account: one event, or the sum of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// When it was charged; for a sum, the start of its hour.
    pub start: Wall,
    /// How much was charged, in units of 1e-9.
    pub units: i128,
    /// What for.
    pub operation: OperationId,
    /// Where it came from.
    pub source: Source,
    /// Sequence of the event, or of the newest one in a sum.
    pub sequence: u64,
}

/// Bounds of a history. An account that was never used takes no memory for either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Events kept as they were: at most so many, at least three quarters of them. One at least.
    pub events: usize,
    /// Sums by hour, operation type and source, kept of older usage. The oldest sums merge beyond that.
    pub sums: usize,
}

impl Default for HistoryLimits {
    /// 64 events and 512 sums: three weeks of hours, in less than 32 KiB.
    fn default() -> Self {
        Self { events: 64, sums: 512 }
    }
}

/// The history of one account. No usage is ever lost: what is too old to be exact is summed.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Of the newest event. The recent ones have no gaps, so each has its own by its place.
    sequence: u64,
    recent: VecDeque<Entry>,
    sums: Sums,
}

/// All usage of one account, for those who come back for what is new.
#[derive(Clone, Debug, Default)]
pub struct UsageLog {
    /// Of the newest event.
    pub sequence: u64,
    /// How many usages there were.
    pub count: u64,
    /// Older usage, oldest first; each starts its hour.
    pub sums: Vec<Usage>,
    /// The latest usages as they were, oldest first.
    pub recent: Vec<Usage>,
}

/// An event without its sequence.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Wall,
    amount: Amount,
    kind: EventKind,
    operation: OperationId,
}

impl History {
    /// Adds an event and returns its sequence.
    #[inline]
    pub(super) fn record(
        &mut self,
        at: Wall,
        kind: EventKind,
        amount: Amount,
        operation: OperationId,
        limits: HistoryLimits,
    ) -> u64 {
        if self.recent.len() >= limits.events {
            self.roll_up(limits);
        } else if self.recent.capacity() == 0 {
            self.recent.reserve_exact(1); // For most accounts that never do anything: their first grant.
        }
        self.recent.push_back(Entry { at, amount, kind, operation });
        self.sequence += 1;
        self.sequence
    }

    /// Looks at the newest event, beside which the next one will stand. The answer means nothing.
    #[inline]
    pub(super) fn glance(&self) -> bool {
        self.recent.back().is_some_and(|newest| newest.at == Wall::NEVER)
    }

    /// Sequence of the newest event; zero before the first.
    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Of the oldest recent event.
    fn first_sequence(&self) -> u64 {
        self.sequence - self.recent.len() as u64 + 1
    }

    pub(super) fn events(&self) -> impl Iterator<Item = Event> {
        self.recent.iter().zip(self.first_sequence()..).map(|(entry, sequence)| {
            let Entry { at, amount, kind, operation } = *entry;
            Event { sequence, at, amount, kind, operation }
        })
    }

    /// Usage by time, sums first. A sum stands at the start of its hour.
    pub(super) fn usage(&self) -> impl Iterator<Item = Usage> {
        self.sums.iter().chain(self.recent_usage())
    }

    fn recent_usage(&self) -> impl Iterator<Item = Usage> {
        let recent = self.recent.iter().zip(self.first_sequence()..);
        recent.filter_map(|(entry, sequence)| entry.usage(sequence))
    }

    /// All usage, or `None` if no event is newer than `seen`.
    pub(super) fn log_since(&self, seen: u64) -> Option<UsageLog> {
        if self.sequence == seen {
            return None;
        }
        let (sums, recent): (Vec<Usage>, Vec<Usage>) =
            (self.sums.iter().collect(), self.recent_usage().collect());
        let count = self.sums.count() + recent.len() as u64;
        Some(UsageLog { sequence: self.sequence, count, sums, recent })
    }

    /// Makes room for events: for a quarter of them at once, so that most events only write themselves down.
    #[inline(never)]
    fn roll_up(&mut self, limits: HistoryLimits) {
        let rolled = self.recent.len() - (limits.events - limits.events.div_ceil(4));
        let first = self.first_sequence();
        for (entry, sequence) in self.recent.drain(..rolled).zip(first..) {
            if let Some(usage) = entry.usage(sequence) {
                self.sums.add(usage, limits.sums);
            }
        }
    }

    /// How many usages there were, from either source.
    pub(super) fn usage_count(&self) -> u64 {
        self.sums.count() + self.recent.iter().filter(|entry| entry.usage(0).is_some()).count() as u64
    }

    /// Units of all usage from `source`.
    pub(super) fn total(&self, source: Source) -> i128 {
        self.usage().filter(|usage| usage.source == source).map(|usage| usage.units).sum()
    }
}

impl Usage {
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.operation, self.source) == (other.operation, other.source)
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.units += other.units;
        self.sequence = self.sequence.max(other.sequence);
    }
}

impl Entry {
    /// The usage that the event is, if it is one.
    #[inline]
    fn usage(&self, sequence: u64) -> Option<Usage> {
        let Self { at, amount, kind, operation } = *self;
        let source = kind.usage().filter(|_| !amount.is_zero())?;
        Some(Usage { start: at, units: amount.units(), operation, source, sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_NANOS: i64 = 3_600 * 1_000_000_000;

    fn record(
        history: &mut History,
        hour: i64,
        units: i128,
        operation: u16,
        kind: EventKind,
        limits: HistoryLimits,
    ) {
        let at = Wall(hour * HOUR_NANOS + 17);
        history.record(at, kind, Amount::from_units(units).unwrap(), OperationId(operation), limits);
    }

    #[test]
    fn recent_events_are_exact_and_older_usage_is_summed_by_hour() {
        let mut history = History::default();
        let limits = HistoryLimits { events: 2, sums: 8 };
        for (hour, units) in [(0, 1), (0, 2), (1, 4), (1, 8), (2, 16)] {
            record(&mut history, hour, units, 1, EventKind::Debit, limits);
        }
        let seen: Vec<_> = history.usage().map(|u| (u.start.0, u.units, u.sequence)).collect();
        let hour = HOUR_NANOS;
        assert_eq!(seen, [(0, 3, 2), (hour, 4, 3), (hour + 17, 8, 4), (2 * hour + 17, 16, 5)]);
    }

    #[test]
    fn a_wall_clock_set_back_sums_into_the_right_hour() {
        let mut history = History::default();
        let limits = HistoryLimits { events: 1, sums: 8 };
        for hour in [5, 3, 5, 4, 3, 9] {
            record(&mut history, hour, 1, 1, EventKind::Recorded, limits);
        }
        let seen: Vec<_> = history.sums.iter().map(|u| (u.start.0 / HOUR_NANOS, u.units)).collect();
        assert_eq!(seen, [(3, 2), (4, 1), (5, 2)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_memory_is_bounded(
            steps in prop::collection::vec((0..50_i64, 1..100_i128, 0..5_u16, any::<bool>()), 1..400),
            events in 1..10_usize,
            sums in 3..20_usize,
        ) {
            let (mut history, limits) = (History::default(), HistoryLimits { events, sums });
            let mut totals = [0, 0];
            for (hour, units, operation, recorded) in steps {
                let kind = if recorded { EventKind::Recorded } else { EventKind::Settle };
                record(&mut history, hour, units, operation, kind, limits);
                totals[usize::from(recorded)] += units;
                prop_assert!(history.recent.len() <= events && history.sums.len() <= sums);
                prop_assert!(history.sums.iter().is_sorted_by_key(|sum| sum.start));
            }
            prop_assert_eq!([history.total(Source::Ledger), history.total(Source::Recorded)], totals);
        }
    }
}
