//! The queue against a list that is searched from its head, in a world of accounts that are plain numbers.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PATIENCE: i64 = 1_000;

/// An account: what is free in it and set aside, and what of it is kept for the favored one, who wants so much.
#[derive(Clone, Debug, Default)]
struct Purse {
    remaining: i128,
    reserved: i128,
    kept: i128,
    wanted: Option<i128>,
}

impl Purse {
    fn free(&self) -> i128 {
        self.remaining - self.kept.min(self.remaining.max(0))
    }

    fn get(&mut self, amount: i128) {
        self.remaining += amount;
        if let Some(wanted) = self.wanted {
            self.kept = wanted.min(self.kept + amount);
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Call {
    name: u64,
    path: Vec<usize>,
    needs: i128,
}

#[derive(Debug, Default)]
struct Purses {
    all: Vec<Purse>,
    /// What calls have set aside.
    holds: Vec<Call>,
    served: Vec<u64>,
    refused: Vec<u64>,
    tries: usize,
}

impl Purses {
    fn fits(&self, call: &Call, is_favored: bool) -> Option<usize> {
        let has = |at: &usize| if is_favored { self.all[*at].remaining } else { self.all[*at].free() };
        call.path.iter().copied().find(|at| has(at) < call.needs)
    }

    fn take(&mut self, call: &Call) {
        for at in &call.path {
            self.all[*at].remaining -= call.needs;
            self.all[*at].reserved += call.needs;
        }
        self.holds.push(call.clone());
    }

    /// Gives a hold back but for `charged`. Returns the accounts that it was on.
    fn give_back(&mut self, index: usize, charged: i128) -> Vec<usize> {
        let call = self.holds.remove(index);
        for at in &call.path {
            self.all[*at].reserved -= call.needs;
            self.all[*at].get(call.needs - charged.min(call.needs));
        }
        call.path
    }

    fn lacking(at: usize, call: &Call) -> Lacking<usize> {
        Lacking { account: at, place: (number(at), Lack::Budget), needs: call.needs }
    }
}

fn number(at: usize) -> Number {
    Number(u32::try_from(at).expect("few accounts"))
}

impl World for Purses {
    type Waiter = Call;
    type Account = usize;

    fn room(&mut self, at: &usize, _: Lack) -> Room {
        Room { free: self.all[*at].free(), with_kept: self.all[*at].remaining }
    }

    fn due(&mut self, _: &usize, _: Lack, _: i128) -> Monotonic {
        Monotonic::NEVER
    }

    fn attempt(&mut self, call: &Call, is_favored: bool) -> Attempt<usize> {
        self.tries += 1;
        if let Some(at) = self.fits(call, is_favored) {
            return Attempt::Lacks(Self::lacking(at, call));
        }
        self.take(call);
        self.served.push(call.name);
        Attempt::Over
    }

    fn time_over(&mut self, call: &Call, is_favored: bool) {
        if matches!(self.attempt(call, is_favored), Attempt::Lacks(_)) {
            self.refused.push(call.name);
        }
    }

    fn hopeless_place(&mut self, call: &Call) -> Option<Lacking<usize>> {
        let has = |at: &usize| self.all[*at].remaining + self.all[*at].reserved;
        call.path.iter().copied().find(|at| has(at) < call.needs).map(|at| Self::lacking(at, call))
    }

    fn keep(&mut self, call: &Call) {
        for at in &call.path {
            let purse = &mut self.all[*at];
            if purse.remaining < call.needs && purse.wanted.is_none() {
                purse.wanted = Some(call.needs);
            }
        }
    }

    fn stop_keeping(&mut self, call: &Call) -> Vec<Number> {
        let kept: Vec<_> = call.path.iter().copied().filter(|at| self.all[*at].wanted.is_some()).collect();
        for at in &kept {
            (self.all[*at].wanted, self.all[*at].kept) = (None, 0);
        }
        kept.into_iter().map(number).collect()
    }
}

/// Pools 0 and 1, the agents 2 to 4 below the one and 5 to 7 below the other; a path may join two lines.
fn path(agent: usize, beside: Option<usize>) -> Vec<usize> {
    let mut path: Vec<_> =
        [Some(agent), beside].into_iter().flatten().flat_map(|at| [at, (at - 2) / 3]).collect();
    path.sort_unstable();
    path.dedup();
    path.reverse();
    path
}

#[derive(Clone, Debug)]
enum Step {
    Wait { agent: usize, beside: Option<usize>, needs: i128, priority: u8, seconds: Option<i64> },
    TakeAtOnce { agent: usize, needs: i128 },
    GiveBack { which: usize, charged: i128 },
    Raise { account: usize, by: i128 },
    Advance(i64),
    Withdraw(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (2_usize..8, prop::option::weighted(0.2, 2_usize..8), 1_i128..12, 1_u8..4, prop::option::of(1_i64..3_000))
            .prop_map(|(agent, beside, needs, priority, seconds)| Step::Wait { agent, beside, needs, priority, seconds }),
        3 => (2_usize..8, 1_i128..5).prop_map(|(agent, needs)| Step::TakeAtOnce { agent, needs }),
        6 => (any::<prop::sample::Index>(), 0_i128..3)
            .prop_map(|(which, charged)| Step::GiveBack { which: which.index(1 << 20), charged }),
        1 => (0_usize..8, 1_i128..10).prop_map(|(account, by)| Step::Raise { account, by }),
        3 => (0_i64..2_000).prop_map(Step::Advance),
        1 => (0_usize..50).prop_map(Step::Withdraw),
    ];
    prop::collection::vec(step, 1..120)
}

/// A queue, the accounts, and what a list would hold.
struct Scene {
    queue: Queue<Call, usize>,
    purses: Purses,
    waiting: BTreeMap<Rank, (Call, i64)>,
    now: i64,
    patience: i64,
    calls: u64,
}

impl Scene {
    fn new(patience: i64) -> Self {
        let mut all = vec![Purse { remaining: 15, ..Purse::default() }; 2];
        all.extend(vec![Purse { remaining: 10, ..Purse::default() }; 6]);
        let purses = Purses { all, ..Purses::default() };
        Self { queue: Queue::default(), purses, waiting: BTreeMap::new(), now: 0, patience, calls: 0 }
    }

    fn now(&self) -> Monotonic {
        Monotonic(self.now)
    }

    fn serve(&mut self) {
        let now = self.now();
        while self.queue.serve(now, &mut self.purses, 3) {}
    }

    fn wait(&mut self, path: Vec<usize>, needs: i128, priority: u8, seconds: Option<i64>) -> Rank {
        self.calls += 1;
        let (call, rank) = (Call { name: self.calls, path, needs }, Rank::new(priority, self.calls));
        let deadline = seconds.map_or(Monotonic::NEVER, |s| self.now().plus(s));
        let patient_until = Monotonic(self.now.saturating_add(self.patience));
        self.queue.add(rank, call.clone(), patient_until, deadline);
        self.waiting.insert(rank, (call, deadline.0));
        self.serve();
        rank
    }

    fn take(&mut self, path: Vec<usize>, needs: i128) -> bool {
        self.calls += 1;
        let call = Call { name: self.calls, path, needs };
        let fits = self.purses.fits(&call, false).is_none();
        if fits {
            self.purses.take(&call);
        }
        fits
    }

    fn give_back(&mut self, which: usize, charged: i128) {
        if self.purses.holds.is_empty() {
            return;
        }
        let which = which % self.purses.holds.len();
        for at in self.purses.give_back(which, charged) {
            self.queue.signal(number(at), false);
        }
        self.serve();
    }

    fn advance(&mut self, by: i64) {
        self.now += by;
        let now = self.now();
        self.queue.tend(now, &mut self.purses);
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Wait { agent, beside, needs, priority, seconds } => {
                self.wait(path(agent, beside), needs, priority, seconds);
            }
            Step::TakeAtOnce { agent, needs } => drop(self.take(path(agent, None), needs)),
            Step::GiveBack { which, charged } => self.give_back(which, charged),
            Step::Raise { account, by } => {
                self.purses.all[account].get(by);
                self.queue.signal(number(account), true);
                self.serve();
            }
            Step::Advance(by) => self.advance(by),
            Step::Withdraw(which) => {
                let rank = self.waiting.keys().nth(which).copied();
                let now = self.now();
                if let Some(rank) = rank {
                    self.queue.withdraw(rank, now, &mut self.purses);
                    self.waiting.remove(&rank);
                    self.serve();
                }
            }
        }
        let gone: Vec<_> = self.waiting.keys().copied().filter(|rank| !self.queue.contains(*rank)).collect();
        for rank in gone {
            let (call, deadline) = self.waiting.remove(&rank).expect("it waits");
            let is_served = self.purses.served.contains(&call.name);
            assert!(is_served != self.purses.refused.contains(&call.name), "{call:?} has one outcome");
            assert!(is_served || deadline <= self.now, "{call:?} was refused before its time");
        }
    }

    /// Nobody waits who could be served, and nobody whose time is over.
    fn assert_served(&self) {
        for (rank, (call, deadline)) in &self.waiting {
            let is_favored = self.queue.favored == Some(*rank);
            assert!(self.purses.fits(call, is_favored).is_some(), "{call:?} waits for nothing");
            assert!(*deadline > self.now, "{call:?} waits for too long");
        }
        let keeps = self.purses.all.iter().filter(|purse| purse.wanted.is_some()).count();
        let most = self.queue.favored.map_or(0, |rank| self.waiting[&rank].0.path.len());
        assert!(keeps <= most, "{keeps} accounts keep something for {:?}", self.queue.favored);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// No wake-up is lost, and every waiter has one outcome, in time.
    #[test]
    fn nobody_waits_who_could_be_served(steps in steps()) {
        let mut scene = Scene::new(PATIENCE);
        for step in &steps {
            scene.run(step);
            scene.assert_served();
        }
        prop_assert!(scene.queue.spots.len() <= scene.waiting.len());
    }

    /// As long as everybody is patient the queue serves whom a list serves that is searched from its head.
    #[test]
    fn the_order_is_that_of_a_list(steps in steps()) {
        let (mut scene, mut list) = (Scene::new(i64::MAX), Scene::new(i64::MAX));
        for step in &steps {
            let Step::Wait { seconds: None, .. } = step else {
                if matches!(step, Step::Wait { .. } | Step::Withdraw(_)) { continue; }
                scene.run(step);
                run_list(&mut list, step);
                prop_assert_eq!(&scene.purses.served, &list.purses.served);
                continue;
            };
            scene.run(step);
            run_list(&mut list, step);
            prop_assert_eq!(&scene.purses.served, &list.purses.served);
        }
    }

    /// One that wants much is served although as many as like want little, with waiting and without, as long as they
    /// have no higher priority and give back what they took.
    #[test]
    fn nobody_waits_for_ever_behind_calls_of_a_lower_or_the_same_priority(
        others in prop::collection::vec((2_usize..8, 1_i128..5, 1_u8..=3, any::<bool>(), 0_usize..64), 600),
        agent in 2_usize..8,
        beside in prop::option::of(2_usize..8),
        needs in 7_i128..=10,
    ) {
        let mut scene = Scene::new(PATIENCE);
        for (agent, needs, priority, _, _) in others.iter().take(40) {
            scene.wait(path(*agent, None), *needs, *priority, None);
        }
        let large = scene.wait(path(agent, beside), needs, 3, None);
        let mut rounds = 0;
        for (agent, needs, priority, waits, which) in others.iter().cycle() {
            if !scene.queue.contains(large) {
                break;
            }
            rounds += 1;
            prop_assert!(rounds < 3_000, "it waits for ever");
            if *waits {
                scene.wait(path(*agent, None), *needs, *priority, None);
            } else {
                scene.take(path(*agent, None), *needs);
            }
            // What is taken is given back, the oldest mostly first; nothing is charged.
            scene.give_back(which % 4, 0);
            scene.advance(10);
        }
    }
}

/// What the queue does, by a search from the head of a list.
fn run_list(list: &mut Scene, step: &Step) {
    match *step {
        Step::Wait { agent, beside, needs, priority, .. } => {
            list.calls += 1;
            let call = Call { name: list.calls, path: path(agent, beside), needs };
            list.waiting.insert(Rank::new(priority, list.calls), (call, 0));
        }
        Step::TakeAtOnce { agent, needs } => drop(list.take(path(agent, None), needs)),
        Step::GiveBack { which, charged } if !list.purses.holds.is_empty() => {
            let which = which % list.purses.holds.len();
            list.purses.give_back(which, charged);
        }
        Step::Raise { account, by } => list.purses.all[account].get(by),
        _ => {}
    }
    while let Some(rank) =
        list.waiting.iter().find(|(_, (call, _))| list.purses.fits(call, false).is_none()).map(|it| *it.0)
    {
        let (call, _) = list.waiting.remove(&rank).expect("it waits");
        list.purses.take(&call);
        list.purses.served.push(call.name);
    }
}

#[test]
fn what_comes_back_is_kept_for_the_first_that_has_lost_its_patience() {
    let mut scene = Scene::new(PATIENCE);
    assert!(scene.take(path(2, None), 6) && scene.take(path(2, None), 3));
    scene.wait(path(2, None), 8, 5, None);
    let other = scene.wait(path(2, None), 9, 5, None);
    scene.advance(PATIENCE - 1);
    scene.give_back(1, 0);
    assert_eq!((scene.purses.all[2].kept, scene.purses.all[2].free()), (0, 4));
    assert!(scene.take(path(2, None), 3), "it is passed");
    scene.advance(1);
    scene.give_back(1, 0);
    assert_eq!((scene.purses.all[2].kept, scene.purses.all[2].free()), (3, 1));
    assert!(!scene.take(path(2, None), 2) && scene.take(path(2, None), 1));
    scene.give_back(0, 0);
    assert_eq!(scene.purses.served, [1 + 2], "the first of the two");
    assert_eq!(scene.queue.favored, Some(other));
}

#[test]
fn nothing_is_kept_for_whom_nothing_that_comes_back_can_serve_until_there_is_a_raise() {
    let mut scene = Scene::new(PATIENCE);
    assert!(scene.take(path(2, None), 4) && scene.take(path(2, None), 3));
    scene.wait(path(2, None), 8, 5, None);
    let other = scene.wait(path(2, None), 5, 5, None);
    scene.give_back(1, 3);
    scene.advance(PATIENCE);
    assert_eq!((scene.queue.favored, scene.purses.all[2].wanted), (Some(other), Some(5)));
    scene.run(&Step::Raise { account: 2, by: 1 });
    assert_eq!((scene.queue.favored, scene.purses.all[2].wanted), (Some(Rank::new(5, 3)), Some(8)));
    scene.run(&Step::Raise { account: 2, by: 4 });
    assert_eq!(scene.purses.served, [3]);
}

#[test]
fn of_ten_thousand_each_is_tried_once() {
    let mut scene = Scene::new(PATIENCE);
    assert!(scene.take(path(2, None), 10));
    for _ in 0..10_000 {
        scene.wait(path(2, None), 1, 5, None);
    }
    let before = scene.purses.tries;
    assert_eq!(before, 10_000, "each when it came");
    scene.give_back(0, 0);
    for _ in 0..9_990 {
        scene.give_back(0, 0);
    }
    assert_eq!(scene.purses.served.len(), 10_000);
    assert!(scene.purses.tries - before <= 10_000 + 2, "{} tries", scene.purses.tries - before);
}
