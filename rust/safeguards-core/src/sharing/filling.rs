//! Weighted dominant resource fairness by progressive filling.
//!
//! A. Ghodsi, M. Zaharia, B. Hindman, A. Konwinski, S. Shenker, I. Stoica: "Dominant Resource Fairness: Fair
//! Allocation of Multiple Resource Types", NSDI 2011; sections 4.1 (progressive filling) and 4.3 (weights).
//!
//! Every agent's weighted dominant share rises at the same rate, from zero. An agent stops when a resource that it
//! needs is used up, or when it has as many tasks as it can use; the others go on. Instead of small steps this goes
//! from event to event: between two of them everything grows linearly with one number, the level. With n agents and
//! m resources that is O(n log n + n m) for the caps and O(n m) for each resource that is used up.
//!
//! Numbers are pairs of floats, good to 31 digits. What is added up over ten thousand agents then still has more
//! digits than an amount.

use twofloat::TwoFloat;

/// What agents want. Rows are agents, columns resources.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// What there is of each resource.
    pub capacities: Vec<TwoFloat>,
    /// What a task of an agent takes of each resource, row by row.
    pub demands: Vec<TwoFloat>,
    /// The weight of each agent for each resource, row by row; empty if all are equal.
    pub weights: Vec<f64>,
    /// The most tasks that an agent can use; infinite if there is no limit.
    pub caps: Vec<TwoFloat>,
}

/// Why an agent has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// It can use no more tasks.
    Cap,
    /// This resource, which it needs, is used up.
    Resource(usize),
}

/// What each agent gets.
#[derive(Clone, Debug)]
pub struct Filling {
    /// Tasks, not rounded.
    pub tasks: Vec<TwoFloat>,
    /// The resource of which it has the largest weighted share; `None` if it takes nothing of any.
    pub dominant: Vec<Option<usize>>,
    /// Why it has no more.
    pub limits: Vec<Limit>,
}

/// Why there is no fair division.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharingError {
    /// An agent takes nothing of anything and has no cap.
    #[error("agent {0} takes nothing and has no cap")]
    Unbounded(usize),
}

/// A resource is used up when no more than this share of it is left: the last digits are noise.
const NOISE: f64 = 1e-26;

/// A sum from which more than all but this share was taken away again has lost too many digits.
const WORN: f64 = 1e-3;

/// Divides the capacities.
pub fn fill(claims: &Claims) -> Result<Filling, SharingError> {
    let mut run = Run::new(claims)?;
    let order = run.caps_by_level();
    let mut caps = order.iter().copied().peekable();
    run.exhaust_empty();
    loop {
        while caps.next_if(|agent| !run.active[*agent]).is_some() {}
        match (run.next_exhausted(), caps.peek()) {
            (Some((level, _)), Some(&agent)) if run.cap_level(agent) <= level => run.cap(agent),
            (Some((level, resource)), _) => run.exhaust(level, resource),
            (None, Some(&agent)) => run.cap(agent),
            (None, None) => break,
        }
    }
    Ok(Filling { tasks: run.tasks, dominant: run.dominant, limits: run.limits })
}

/// A filling under way.
struct Run<'a> {
    claims: &'a Claims,
    /// Tasks of each agent per unit of the level.
    pace: Vec<TwoFloat>,
    /// What they take of each resource, row by row.
    taken: Vec<TwoFloat>,
    dominant: Vec<Option<usize>>,
    active: Vec<bool>,
    tasks: Vec<TwoFloat>,
    limits: Vec<Limit>,
    /// What the agents that have stopped leave of each resource.
    left: Vec<TwoFloat>,
    /// What the others take of it per unit of the level.
    rates: Vec<TwoFloat>,
    /// The same when it was last added up.
    summed: Vec<TwoFloat>,
    /// How many they are.
    takers: Vec<usize>,
    /// Where everybody stands who has not stopped.
    level: TwoFloat,
    /// Room to work in.
    rough: Vec<f64>,
}

impl<'a> Run<'a> {
    fn new(claims: &'a Claims) -> Result<Self, SharingError> {
        let (agents, resources) = (claims.caps.len(), claims.capacities.len());
        let zero = TwoFloat::from(0.0);
        let mut run = Self {
            claims,
            pace: vec![zero; agents],
            taken: vec![zero; agents * resources],
            dominant: vec![None; agents],
            active: vec![true; agents],
            tasks: vec![zero; agents],
            limits: vec![Limit::Cap; agents],
            left: claims.capacities.clone(),
            rates: vec![zero; resources],
            summed: Vec::new(),
            takers: vec![0; resources],
            level: zero,
            rough: Vec::with_capacity(resources),
        };
        for agent in 0..agents {
            run.enter(agent)?;
        }
        run.summed.clone_from(&run.rates);
        Ok(run)
    }

    fn demands(&self, agent: usize) -> &'a [TwoFloat] {
        let resources = self.claims.capacities.len();
        &self.claims.demands[agent * resources..][..resources]
    }

    /// Tasks per unit of the level that a resource admits, if the agent needs it.
    fn pace_within(&self, agent: usize, resource: usize) -> TwoFloat {
        let (width, demand) = (self.claims.capacities.len(), self.demands(agent)[resource]);
        let pace = quotient(self.claims.capacities[resource], demand);
        self.claims.weights.get(agent * width + resource).map_or(pace, |weight| pace * *weight)
    }

    /// The same to 15 digits, many times faster.
    fn rough_pace_within(&self, agent: usize, resource: usize) -> f64 {
        let (width, demand) = (self.claims.capacities.len(), self.demands(agent)[resource].hi());
        let weight = self.claims.weights.get(agent * width + resource).copied().unwrap_or(1.0);
        self.claims.capacities[resource].hi() / demand * weight
    }

    /// Resources that an agent needs.
    fn needs(&self, agent: usize) -> impl Iterator<Item = usize> + use<'a> {
        let demands = self.demands(agent).iter().enumerate();
        demands.filter(|(_, demand)| demand.hi() > 0.0).map(|(resource, _)| resource)
    }

    /// Finds an agent's dominant resource and with it its pace.
    fn enter(&mut self, agent: usize) -> Result<(), SharingError> {
        let mut rough = std::mem::take(&mut self.rough);
        rough.clear();
        rough.extend(self.needs(agent).map(|resource| self.rough_pace_within(agent, resource)));
        let least = rough.iter().copied().fold(f64::INFINITY, f64::min);
        // Only those that may be the slowest are worth all digits.
        let close = self.needs(agent).zip(&rough).filter(|(_, pace)| **pace <= least * (1.0 + 1e-12));
        let paces = close.map(|(resource, _)| (self.pace_within(agent, resource), resource));
        let slowest = paces.reduce(|least, next| if next.0 < least.0 { next } else { least });
        self.rough = rough;
        let Some((pace, dominant)) = slowest else { return self.enter_without_needs(agent) };
        self.pace[agent] = pace;
        self.dominant[agent] = Some(dominant);
        let width = self.left.len();
        for resource in self.needs(agent) {
            let taken = self.demands(agent)[resource] * pace;
            self.taken[agent * width + resource] = taken;
            self.rates[resource] += taken;
            self.takers[resource] += 1;
        }
        Ok(())
    }

    /// Nothing holds up an agent that takes nothing but its cap.
    fn enter_without_needs(&mut self, agent: usize) -> Result<(), SharingError> {
        let cap = self.claims.caps[agent];
        if !cap.hi().is_finite() {
            return Err(SharingError::Unbounded(agent));
        }
        self.tasks[agent] = cap;
        self.active[agent] = false;
        Ok(())
    }

    /// The level at which an agent has all the tasks that it can use.
    fn cap_level(&self, agent: usize) -> TwoFloat {
        quotient(self.claims.caps[agent], self.pace[agent])
    }

    /// Active agents that have a cap, by the level at which they reach it.
    fn caps_by_level(&self) -> Vec<usize> {
        let caps = self.claims.caps.iter().enumerate();
        let capped = caps
            .filter(|(agent, cap)| cap.hi().is_finite() && self.active[*agent] && self.pace[*agent] > 0.0);
        let mut levels: Vec<_> = capped.map(|(agent, _)| (self.cap_level(agent), agent)).collect();
        levels.sort_by(|one, other| one.0.partial_cmp(&other.0).unwrap_or(std::cmp::Ordering::Equal));
        levels.into_iter().map(|(_, agent)| agent).collect()
    }

    /// The level at which the next resource is used up, and which.
    fn next_exhausted(&self) -> Option<(TwoFloat, usize)> {
        let taken = (0..self.left.len()).filter(|resource| self.takers[*resource] > 0);
        let levels = taken.map(|resource| (quotient(self.left[resource], self.rates[resource]), resource));
        levels.reduce(|least, next| if next.0 < least.0 { next } else { least })
    }

    /// Stops everybody who needs something of which there is nothing at all.
    fn exhaust_empty(&mut self) {
        for resource in 0..self.left.len() {
            if self.left[resource] == 0.0 {
                self.stop_takers(TwoFloat::from(0.0), resource);
            }
        }
    }

    /// Stops everybody who needs a resource that is used up at this level, or one that is used up with it.
    fn exhaust(&mut self, level: TwoFloat, resource: usize) {
        let level = self.rise(level);
        let is_used_up = |run: &Self, other: usize| {
            run.left[other] - level * run.rates[other] <= run.claims.capacities[other] * NOISE
        };
        let with_it =
            (0..self.left.len()).filter(|other| self.takers[*other] > 0 && is_used_up(self, *other));
        for other in std::iter::once(resource).chain(with_it.collect::<Vec<_>>()) {
            self.stop_takers(level, other);
        }
    }

    /// Levels only rise; what seems to lie below is noise.
    fn rise(&mut self, level: TwoFloat) -> TwoFloat {
        if level > self.level {
            self.level = level;
        }
        self.level
    }

    fn stop_takers(&mut self, level: TwoFloat, resource: usize) {
        let width = self.left.len();
        let mut stopped = vec![TwoFloat::from(0.0); width];
        for agent in 0..self.active.len() {
            if self.active[agent] && self.demands(agent)[resource].hi() > 0.0 {
                self.stop(agent, level * self.pace[agent], Limit::Resource(resource));
                self.needs(agent).for_each(|other| stopped[other] += self.taken[agent * width + other]);
            }
        }
        for (other, stopped) in stopped.into_iter().enumerate() {
            self.left[other] -= level * stopped;
            self.slow_down(other, stopped);
        }
    }

    fn cap(&mut self, agent: usize) {
        let (width, cap) = (self.left.len(), self.claims.caps[agent]);
        self.rise(self.cap_level(agent));
        self.stop(agent, cap, Limit::Cap);
        for resource in self.needs(agent) {
            let used = self.demands(agent)[resource] * cap;
            self.left[resource] -= used;
            self.slow_down(resource, self.taken[agent * width + resource]);
        }
    }

    /// Those who have stopped take no more. When the fast ones have gone, what is left of the sum is noise: then
    /// it is added up anew.
    fn slow_down(&mut self, resource: usize, stopped: TwoFloat) {
        self.rates[resource] -= stopped;
        if self.rates[resource] >= self.summed[resource] * WORN || self.takers[resource] == 0 {
            return;
        }
        let (width, zero) = (self.left.len(), TwoFloat::from(0.0));
        let taken = self.taken.iter().skip(resource).step_by(width).zip(&self.active);
        let rate = taken.filter(|(_, active)| **active).fold(zero, |sum, (taken, _)| sum + *taken);
        (self.rates[resource], self.summed[resource]) = (rate, rate);
    }

    fn stop(&mut self, agent: usize, tasks: TwoFloat, limit: Limit) {
        self.active[agent] = false;
        self.tasks[agent] = tasks;
        self.limits[agent] = limit;
        self.needs(agent).for_each(|resource| self.takers[resource] -= 1);
    }
}

/// A division digit by digit, sixteen at a time: that of the crate is good to the first sixteen only.
fn quotient(dividend: TwoFloat, divisor: TwoFloat) -> TwoFloat {
    let first = dividend.hi() / divisor.hi();
    let rest = dividend - divisor * first;
    let second = rest.hi() / divisor.hi();
    let third = (rest - divisor * second).hi() / divisor.hi();
    TwoFloat::new_add(first, second) + third
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quotients_have_thirty_digits(dividend in 1..i128::MAX >> 40, divisor in 1..i128::MAX >> 40) {
            let (dividend, divisor) = (TwoFloat::from(dividend), TwoFloat::from(divisor));
            let rest = quotient(dividend, divisor) * divisor - dividend;
            prop_assert!(rest.abs() <= dividend * 1e-30);
        }
    }

    fn claims(demands: &[[f64; 2]], capacities: [f64; 2]) -> Claims {
        Claims {
            capacities: capacities.map(TwoFloat::from).to_vec(),
            demands: demands.iter().flatten().copied().map(TwoFloat::from).collect(),
            weights: Vec::new(),
            caps: vec![TwoFloat::from(f64::INFINITY); demands.len()],
        }
    }

    fn rounded(filling: &Filling) -> Vec<f64> {
        filling.tasks.iter().copied().map(f64::from).collect()
    }

    #[test]
    fn the_example_of_the_paper() {
        let filling = fill(&claims(&[[1.0, 4.0], [3.0, 1.0]], [9.0, 18.0])).unwrap();
        let off = |tasks: TwoFloat, expected: f64| (tasks - expected).abs().hi();
        assert!(off(filling.tasks[0], 3.0) < 1e-29 && off(filling.tasks[1], 2.0) < 1e-29, "{filling:?}");
        assert_eq!(filling.dominant, [Some(1), Some(0)]);
        assert_eq!(filling.limits, [Limit::Resource(0); 2]);
    }

    #[test]
    fn who_needs_nothing_that_is_used_up_goes_on() {
        let filling = fill(&claims(&[[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]], [4.0, 10.0])).unwrap();
        assert_eq!(rounded(&filling), [2.0, 2.0, 4.0]);
        let limits = [Limit::Resource(0), Limit::Resource(0), Limit::Resource(1)];
        assert_eq!(filling.limits, limits);
    }

    #[test]
    fn of_what_there_is_nothing_of_nobody_gets_any() {
        let filling = fill(&claims(&[[1.0, 1.0], [0.0, 1.0]], [0.0, 10.0])).unwrap();
        assert_eq!(rounded(&filling), [0.0, 10.0]);
    }

    #[test]
    fn an_agent_that_takes_nothing_needs_a_cap() {
        let mut free = claims(&[[1.0, 1.0], [0.0, 0.0]], [5.0, 5.0]);
        assert_eq!(fill(&free).unwrap_err(), SharingError::Unbounded(1));
        free.caps = vec![TwoFloat::from(3.0); 2];
        let filling = fill(&free).unwrap();
        assert_eq!(rounded(&filling), [3.0, 3.0]);
        assert_eq!(filling.limits, [Limit::Cap; 2]);
    }
}
