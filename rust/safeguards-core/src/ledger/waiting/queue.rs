//! Who waits, and who is next: a state machine without locks, clocks and money.
//!
//! Each waiter stands in the lane of one *place*: what refused it last, a budget or the windows of an account. Only
//! when something has come back to a place are those in its lane tried, in the order of their ranks, and only those who
//! need no more than there is. So a waiter costs a logarithm when it comes, when it is tried, and when it goes.
//!
//! Who has waited for longer than its patience is *impatient*. For the first of these that can still be served by what
//! comes back, money is kept: that one is *favored*.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::quality::RandomState;

use super::lane::{Lane, Rank};
use crate::clock::Monotonic;
use crate::ledger::Number;

/// What of an account a waiter lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::ledger) enum Lack {
    Budget,
    Window,
}

pub(super) type Place = (Number, Lack);

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// For everybody.
    pub(super) free: i128,
    /// For whom money is kept.
    pub(super) with_kept: i128,
}

/// A place that refuses, and what would have to be there.
#[derive(Debug)]
pub(super) struct Lacking<A> {
    pub(super) account: A,
    pub(super) place: Place,
    pub(super) needs: i128,
}

/// What came of a try.
#[derive(Debug)]
pub(super) enum Attempt<A> {
    /// It waits here no more: it has what it wants, or never can, or its accounts have moved.
    Over,
    Lacks(Lacking<A>),
}

/// The accounts, as the queue sees them.
pub(super) trait World {
    type Waiter;
    type Account;

    /// How much there is at a place.
    fn room(&mut self, account: &Self::Account, lack: Lack) -> Room;
    /// When there may be more at a place, if nothing else happens, for one who needs so much.
    fn due(&mut self, account: &Self::Account, lack: Lack, needs: i128) -> Monotonic;
    /// Gives a waiter all that it wants, on its whole path, or nothing.
    fn attempt(&mut self, waiter: &Self::Waiter, is_favored: bool) -> Attempt<Self::Account>;
    /// Does so for the last time.
    fn time_over(&mut self, waiter: &Self::Waiter, is_favored: bool);
    /// The place that can never serve a waiter by what is still to come back, if there is one.
    fn hopeless_place(&mut self, waiter: &Self::Waiter) -> Option<Lacking<Self::Account>>;
    /// Keeps for a waiter what comes back to the places that it lacks.
    fn keep(&mut self, waiter: &Self::Waiter);
    /// Keeps nothing any more. Returns the accounts that kept something.
    fn stop_keeping(&mut self, waiter: &Self::Waiter) -> Vec<Number>;
}

#[derive(Debug)]
struct Entry<W> {
    waiter: W,
    stands: Option<(Place, i128)>,
    patient_until: Monotonic,
    deadline: Monotonic,
}

/// Those who wait for a place.
#[derive(Debug)]
struct Spot<A> {
    account: A,
    lane: Lane,
    /// Below this much was refused since the last signal: for everybody, and for the favored one.
    caps: Room,
    due: Monotonic,
    /// What `due` was told for, unless something has come back since.
    due_for: Option<i128>,
}

const NO_CAPS: Room = Room { free: i128::MAX, with_kept: i128::MAX };

/// How soon a place is looked at again that is due and has nothing: a millisecond, a tick of a coarse clock.
const TICK_NANOS: i64 = 1_000_000;

/// Everybody who waits in one tree of accounts, or in several that somebody wants at once.
#[derive(Debug)]
pub(super) struct Queue<W, A> {
    waiters: BTreeMap<Rank, Entry<W>>,
    spots: HashMap<Place, Spot<A>, RandomState>,
    /// Those who were not tried yet.
    fresh: BTreeSet<Rank>,
    by_patience: BTreeSet<(Monotonic, Rank)>,
    by_deadline: BTreeSet<(Monotonic, Rank)>,
    by_due: BTreeSet<(Monotonic, Place)>,
    /// Those who are to be favored, with the one who is; not those whom nothing that comes back can serve.
    impatient: BTreeSet<Rank>,
    favored: Option<Rank>,
    signaled: BTreeSet<Place>,
    touched: BTreeSet<Place>,
}

impl<W, A> Default for Queue<W, A> {
    fn default() -> Self {
        Self {
            waiters: BTreeMap::new(),
            spots: HashMap::default(),
            fresh: BTreeSet::new(),
            by_patience: BTreeSet::new(),
            by_deadline: BTreeSet::new(),
            by_due: BTreeSet::new(),
            impatient: BTreeSet::new(),
            favored: None,
            signaled: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }
}

impl<W, A> Queue<W, A> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    #[cfg(test)]
    fn contains(&self, rank: Rank) -> bool {
        self.waiters.contains_key(&rank)
    }

    /// Lets somebody wait, to be tried by the next [`serve`](Self::serve).
    pub(super) fn add(&mut self, rank: Rank, waiter: W, patient_until: Monotonic, deadline: Monotonic) {
        self.fresh.insert(rank);
        self.by_patience.insert((patient_until, rank));
        if deadline != Monotonic::NEVER {
            self.by_deadline.insert((deadline, rank));
        }
        self.waiters.insert(rank, Entry { waiter, stands: None, patient_until, deadline });
    }

    /// Something may have come back to an account. After a raise, by more than was reserved, those may hope again who
    /// had no reason to.
    pub(super) fn signal(&mut self, account: Number, is_raise: bool) {
        for lack in [Lack::Budget, Lack::Window] {
            let place = (account, lack);
            if !self.signal_place(place) || !is_raise {
                continue;
            }
            let ranks = self.spots.get(&place).map(|spot| spot.lane.ranks());
            for rank in ranks.into_iter().flatten() {
                // Who is still patient is not there yet.
                let is_patient = self
                    .waiters
                    .get(&rank)
                    .is_some_and(|it| self.by_patience.contains(&(it.patient_until, rank)));
                if !is_patient {
                    self.impatient.insert(rank);
                }
            }
        }
    }

    fn signal_place(&mut self, place: Place) -> bool {
        let Some(spot) = self.spots.get_mut(&place) else { return false };
        spot.caps = NO_CAPS;
        self.signaled.insert(place);
        true
    }

    /// One is tried again; false if it does not wait.
    pub(super) fn retry(&mut self, rank: Rank) -> bool {
        self.waiters.contains_key(&rank) && self.fresh.insert(rank)
    }

    /// Everybody is tried again.
    pub(super) fn retry_all(&mut self) {
        self.fresh = self.waiters.keys().copied().collect();
    }

    /// The earliest time at which [`tend`](Self::tend) has something to do.
    pub(super) fn next(&self) -> Monotonic {
        let first = |times: &BTreeSet<(Monotonic, Rank)>| times.first().map(|(at, _)| *at);
        let due = self.by_due.first().map(|(at, _)| *at);
        let times = [first(&self.by_deadline), first(&self.by_patience), due];
        times.into_iter().flatten().min().unwrap_or(Monotonic::NEVER)
    }

    /// Does what the time asks for, and serves.
    pub(super) fn tend(&mut self, now: Monotonic, world: &mut impl World<Waiter = W, Account = A>) {
        while let Some((at, place)) = self.by_due.first().copied()
            && at <= now
        {
            self.by_due.pop_first();
            self.signal_place(place);
        }
        while self.serve(now, world, usize::MAX) {}
        while let Some((at, rank)) = self.by_deadline.first().copied()
            && at <= now
        {
            self.end(rank, now, world);
        }
        while let Some((at, rank)) = self.by_patience.first().copied()
            && at <= now
        {
            self.by_patience.pop_first();
            self.impatient.insert(rank);
        }
        while self.serve(now, world, usize::MAX) {}
    }

    /// Tries a waiter for the last time; false if it waits no more.
    pub(super) fn end(
        &mut self,
        rank: Rank,
        now: Monotonic,
        world: &mut impl World<Waiter = W, Account = A>,
    ) -> bool {
        let Some(entry) = self.waiters.get(&rank) else { return false };
        world.time_over(&entry.waiter, self.favored == Some(rank));
        self.withdraw(rank, now, world);
        true
    }

    /// Lets a waiter go, with what was kept for it; false if it waits no more.
    pub(super) fn withdraw(
        &mut self,
        rank: Rank,
        now: Monotonic,
        world: &mut impl World<Waiter = W, Account = A>,
    ) -> bool {
        self.unfavor(rank, world);
        let is_there = self.remove(rank).is_some();
        self.refresh_dues(now, world);
        is_there
    }

    /// Lets everybody go.
    pub(super) fn drain(&mut self, world: &mut impl World<Waiter = W, Account = A>) -> Vec<W> {
        if let Some(rank) = self.favored {
            self.unfavor(rank, world);
        }
        let all = std::mem::take(self);
        all.waiters.into_values().map(|entry| entry.waiter).collect()
    }

    /// Takes in everybody of another queue. The first of the two favored ones stays so.
    pub(super) fn absorb(&mut self, mut other: Self, world: &mut impl World<Waiter = W, Account = A>) {
        if let (Some(own), Some(theirs)) = (self.favored, other.favored) {
            if own < theirs { other.unfavor(theirs, world) } else { self.unfavor(own, world) }
        }
        self.favored = self.favored.or(other.favored);
        self.waiters.append(&mut other.waiters);
        self.spots.extend(other.spots);
        self.fresh.append(&mut other.fresh);
        self.by_patience.append(&mut other.by_patience);
        self.by_deadline.append(&mut other.by_deadline);
        self.by_due.append(&mut other.by_due);
        self.impatient.append(&mut other.impatient);
        self.signaled.append(&mut other.signaled);
        self.touched.append(&mut other.touched);
    }

    /// Serves whom it can, until so many were tried: true if there is more to do.
    pub(super) fn serve(
        &mut self,
        now: Monotonic,
        world: &mut impl World<Waiter = W, Account = A>,
        mut tries: usize,
    ) -> bool {
        loop {
            while let Some(rank) = self.next_candidate(world) {
                if tries == 0 {
                    return true;
                }
                tries -= 1;
                self.attempt(rank, world);
            }
            self.favor(world);
            if self.fresh.is_empty() && self.signaled.is_empty() {
                self.refresh_dues(now, world);
                return false;
            }
        }
    }

    /// The first of those who were not tried yet, or whose place has what they need.
    fn next_candidate(&mut self, world: &mut impl World<Waiter = W, Account = A>) -> Option<Rank> {
        let mut best = self.fresh.first().copied();
        let favored = self.favored.and_then(|rank| Some((rank, self.waiters.get(&rank)?.stands?)));
        let (spots, touched) = (&mut self.spots, &mut self.touched);
        self.signaled.retain(|place| {
            touched.insert(*place);
            let Some(spot) = spots.get_mut(place) else { return false };
            spot.due_for = None;
            let room = world.room(&spot.account, place.1);
            let first = spot.lane.first_within(room.free.min(spot.caps.free));
            let kept = favored.filter(|(_, (stands, needs))| {
                stands == place && *needs <= room.with_kept.min(spot.caps.with_kept)
            });
            let first = first.into_iter().chain(kept.map(|(rank, _)| rank)).min();
            best = best.into_iter().chain(first).min();
            first.is_some()
        });
        best
    }

    fn attempt(&mut self, rank: Rank, world: &mut impl World<Waiter = W, Account = A>) {
        self.fresh.remove(&rank);
        let Some(entry) = self.waiters.get(&rank) else { return };
        let is_favored = self.favored == Some(rank);
        match world.attempt(&entry.waiter, is_favored) {
            Attempt::Over => {
                self.unfavor(rank, world);
                self.remove(rank);
            }
            Attempt::Lacks(lacking) => {
                self.cap(&lacking, is_favored);
                self.stand(rank, lacking);
                if is_favored && let Some(entry) = self.waiters.get(&rank) {
                    world.keep(&entry.waiter);
                }
            }
        }
    }

    /// Nobody else who needs as much is tried before the next signal.
    fn cap(&mut self, lacking: &Lacking<A>, is_favored: bool) {
        let Some(spot) = self.spots.get_mut(&lacking.place) else { return };
        spot.caps.free = spot.caps.free.min(lacking.needs - 1);
        if is_favored {
            spot.caps.with_kept = spot.caps.with_kept.min(lacking.needs - 1);
        }
    }

    /// Lets a waiter stand in the lane of what it lacks.
    fn stand(&mut self, rank: Rank, lacking: Lacking<A>) {
        self.leave_lane(rank);
        let Lacking { account, place, needs } = lacking;
        let Some(entry) = self.waiters.get_mut(&rank) else { return };
        entry.stands = Some((place, needs));
        let spot = self.spots.entry(place).or_insert_with(|| Spot {
            account,
            lane: Lane::default(),
            caps: NO_CAPS,
            due: Monotonic::NEVER,
            due_for: None,
        });
        spot.lane.insert(rank, needs);
        self.touched.insert(place);
    }

    fn leave_lane(&mut self, rank: Rank) {
        let stands = self.waiters.get_mut(&rank).and_then(|entry| entry.stands.take());
        let Some((place, _)) = stands else { return };
        if let Some(spot) = self.spots.get_mut(&place) {
            spot.lane.remove(rank);
            self.touched.insert(place);
        }
    }

    fn remove(&mut self, rank: Rank) -> Option<W> {
        self.leave_lane(rank);
        let entry = self.waiters.remove(&rank)?;
        self.fresh.remove(&rank);
        self.impatient.remove(&rank);
        self.by_patience.remove(&(entry.patient_until, rank));
        self.by_deadline.remove(&(entry.deadline, rank));
        Some(entry.waiter)
    }

    /// Keeps money for the first of the impatient whom it can help, and for nobody else.
    fn favor(&mut self, world: &mut impl World<Waiter = W, Account = A>) {
        if let Some(rank) = self.favored
            && let Some(entry) = self.waiters.get(&rank)
            && let Some(lacking) = world.hopeless_place(&entry.waiter)
        {
            self.give_up(rank, lacking, world);
        }
        while let Some(rank) = self.impatient.first().copied()
            && self.favored.is_none_or(|favored| rank < favored)
            && let Some(entry) = self.waiters.get(&rank)
        {
            if let Some(lacking) = world.hopeless_place(&entry.waiter) {
                self.give_up(rank, lacking, world);
                continue;
            }
            if let Some(before) = self.favored {
                self.unfavor(before, world);
            }
            self.favored = Some(rank);
            if let Some(entry) = self.waiters.get(&rank) {
                world.keep(&entry.waiter);
            }
        }
    }

    /// Keeps nothing for a waiter that only a raise can serve.
    fn give_up(&mut self, rank: Rank, lacking: Lacking<A>, world: &mut impl World<Waiter = W, Account = A>) {
        self.unfavor(rank, world);
        self.impatient.remove(&rank);
        self.stand(rank, lacking);
    }

    /// Frees what was kept for a waiter, if anything was.
    fn unfavor(&mut self, rank: Rank, world: &mut impl World<Waiter = W, Account = A>) {
        if self.favored != Some(rank) {
            return;
        }
        self.favored = None;
        let Some(entry) = self.waiters.get(&rank) else { return };
        for account in world.stop_keeping(&entry.waiter) {
            self.signal(account, false);
        }
    }

    /// Notes when the places that have changed are to be looked at again, and forgets those that nobody waits for.
    fn refresh_dues(&mut self, now: Monotonic, world: &mut impl World<Waiter = W, Account = A>) {
        for place in std::mem::take(&mut self.touched) {
            let Some(spot) = self.spots.get_mut(&place) else { continue };
            let least = spot.lane.least();
            if spot.lane.is_empty() {
                self.by_due.remove(&(spot.due, place));
                self.spots.remove(&place);
                continue;
            }
            if spot.due_for.replace(least) == Some(least) {
                continue;
            }
            self.by_due.remove(&(spot.due, place));
            spot.due = world.due(&spot.account, place.1, least).max(now.plus(TICK_NANOS));
            if spot.due != Monotonic::NEVER {
                self.by_due.insert((spot.due, place));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "tests.rs"]
mod tests;
