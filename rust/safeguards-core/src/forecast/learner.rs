//! What is learned while agents work: their usage, read from the ledger now and then, and forecasts of it.
//!
//! Reading costs the ledger's users nothing: it looks at each agent's history, takes what is newer than the
//! last time, and finds the hours of what was summed meanwhile. No usage is lost or counted twice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;
use rayon::prelude::*;

use super::local_time::{LocalHours, Window, hour_of};
use super::panel::sample;
use super::quarters::{PER_HOUR, Quarter, Quarters};
use super::{Forecast, ForecastError, Pool, Request, Track, is_usage, number};
use crate::clock::{Monotonic, Wall};
use crate::ledger::{Account, Ledger, Usage, UsageLog};
use crate::workers::{Stop, on_threads};

const QUARTER_NANOS: i64 = 900 * 1_000_000_000;
const UNITS_PER_AMOUNT: f64 = 1e9;
/// Pools of different windows that are remembered.
const MAX_POOLS: usize = 8;

/// What to learn from, and how.
#[derive(Clone, Debug)]
pub struct Learning {
    /// Days of history that count.
    pub days: u32,
    /// Data points that a prediction needs.
    pub min_points: u64,
    /// Whose hours of the day habits follow.
    pub zone: TimeZone,
}

/// Usage of many agents.
#[derive(Debug)]
pub struct Learner {
    learning: Learning,
    agents: BTreeMap<Arc<str>, Agent>,
    /// Accounts of the last reading.
    present: Vec<Arc<Account>>,
    pools: Vec<CachedPool>,
    /// Changes whenever old pools say too little.
    revision: u64,
    /// Agents loaded since the revision.
    loads: usize,
}

#[derive(Debug, Default)]
struct Agent {
    usage: Quarters,
    /// Where its account was read to, while it has one.
    seen: Option<Seen>,
    /// When it was found to have none. Not on the wall clock: one that was wrong for a while forgets nobody.
    gone: Option<Monotonic>,
}

/// Up to where an account was read.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sequence: u64,
    count: u64,
    units: i128,
    at: Wall,
}

impl Default for Seen {
    fn default() -> Self {
        Self { sequence: 0, count: 0, units: 0, at: Wall(i64::MIN) }
    }
}

/// Hours to predict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The first instant; the quarter-hour that it is in.
    pub start: Wall,
    /// Hours from there.
    pub hours: usize,
    /// As in [`Request`].
    pub level: f64,
    /// As in [`Request`].
    pub margin: f64,
}

/// An answer, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The need.
    pub forecast: Forecast,
    /// Where the window begins.
    pub start: Wall,
    /// Up to where usage was known.
    pub known_until: Wall,
    /// Hours of the history.
    pub hours: usize,
    /// Data points in it.
    pub points: u64,
}

/// What is known of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownUsage {
    /// Start of the first quarter-hour.
    pub start: Wall,
    /// Usage of each.
    pub quarters: Vec<f64>,
    /// Data points.
    pub points: u64,
}

#[derive(Debug)]
struct CachedPool {
    /// Lead, length and phase within the hour.
    window: (usize, usize, Quarter),
    revision: u64,
    pool: Arc<Pool>,
}

impl Learner {
    /// Knows nothing yet.
    #[must_use]
    pub const fn new(learning: Learning) -> Self {
        Self {
            learning,
            agents: BTreeMap::new(),
            present: Vec::new(),
            pools: Vec::new(),
            revision: 0,
            loads: 0,
        }
    }

    /// Takes note of data points from elsewhere: usage and when it was. Older than is learned from says nothing, and
    /// nothing says what is later than now, until its time comes.
    pub fn load(&mut self, agent: &str, points: &[(Wall, f64)], now: Wall) -> Result<(), ForecastError> {
        let wrong = points.iter().position(|(_, amount)| !is_usage(*amount));
        if let Some(hour) = wrong {
            return Err(ForecastError::NotUsage { agent: 0, hour, value: points[hour].1 });
        }
        let Some(newest) = points.iter().map(|(at, _)| quarter(*at)).max() else { return Ok(()) };
        let (days, now) = (self.learning.days.into(), quarter(now));
        let agent = self.agents.entry(agent.into()).or_default();
        for (at, amount) in points {
            agent.usage.add(quarter(*at), *amount, 1, days, now);
        }
        agent.gone = None;
        // Points stand for their hours. Only the hour under way is not over.
        agent.usage.know_until(hour_of(newest, &self.learning.zone) + PER_HOUR, now);
        self.loads += 1;
        if self.loads * 8 > self.agents.len() {
            self.revise();
        }
        Ok(())
    }

    /// Reads what is new in a ledger; the number of agents that had something. An agent that left since the last
    /// reading is read to its end; only one that came and left in between is never seen.
    pub fn read(&mut self, ledger: &Ledger, now: Wall) -> usize {
        let present = ledger.agents();
        let before = std::mem::take(&mut self.present);
        let is_present =
            |account: &Arc<Account>| ledger.agent(account.id()).is_ok_and(|same| Arc::ptr_eq(&same, account));
        let mut news = 0;
        for account in before.iter().filter(|account| !is_present(account)) {
            news += usize::from(self.read_account(ledger, account, now));
            if let Some(agent) = self.agents.get_mut(account.id()) {
                agent.seen = None;
                // Nothing comes after the end, so the quarter-hour under way is over for it.
                let end = quarter(now) + 1;
                agent.usage.know_until(end, end);
            }
        }
        for account in &present {
            news += usize::from(self.read_account(ledger, account, now));
        }
        self.present = present;
        self.forget_old(ledger.clock().monotonic_coarse());
        self.revise();
        news
    }

    fn read_account(&mut self, ledger: &Ledger, account: &Arc<Account>, now: Wall) -> bool {
        let days = self.learning.days.into();
        let agent = self.agents.get_mut(account.id());
        let seen = agent.as_ref().and_then(|agent| agent.seen).unwrap_or_default();
        let log = ledger.usage_since(account, seen.sequence);
        match (log, agent) {
            (None, Some(agent)) => agent.pause(seen, now),
            (Some(log), Some(agent)) => return agent.note(&log, seen, days, now),
            (Some(log), None) if log.count > 0 => {
                let mut agent = Agent::default();
                agent.note(&log, seen, days, now);
                self.agents.insert(Arc::clone(account.id()), agent);
                return true;
            }
            // Those who never spent take no memory.
            (_, None) => (),
        }
        false
    }

    /// Drops agents that have left, as soon as nothing is learned from them any more.
    fn forget_old(&mut self, now: Monotonic) {
        let nanos = i64::from(self.learning.days) * 24 * PER_HOUR * QUARTER_NANOS;
        self.agents.retain(|_, agent| {
            agent.gone = agent.seen.is_none().then(|| agent.gone.unwrap_or(now));
            agent.gone.is_none_or(|gone| now.since(gone) < nanos)
        });
    }

    fn revise(&mut self) {
        self.revision += 1;
        self.loads = 0;
    }

    /// What an agent will need. `None` where too little is known.
    pub fn predict(&mut self, agent: &str, question: &Question) -> Result<Option<Prediction>, ForecastError> {
        let Some(known) = self.agents.get(agent).and_then(|agent| self.known(agent, question)) else {
            return Ok(None);
        };
        let request = known.request(question);
        request.check()?;
        let pool = self.pool(question, &request);
        Ok(Some(known.answer(&request, &pool)))
    }

    /// What each of the agents of which enough is known will need, on all cores.
    pub fn predict_all(
        &mut self,
        question: &Question,
        stop: &Stop,
    ) -> Result<Vec<(Arc<str>, Prediction)>, ForecastError> {
        let known: Vec<(Arc<str>, Known)> = self
            .agents
            .iter()
            .filter_map(|(id, agent)| Some((Arc::clone(id), self.known(agent, question)?)))
            .collect();
        let mut pools: BTreeMap<(usize, usize), Arc<Pool>> = BTreeMap::new();
        for (_, known) in &known {
            let request = known.request(question);
            request.check()?;
            pools.entry((request.lead, request.length)).or_insert_with(|| self.pool(question, &request));
        }
        let answer = |(id, known): &(Arc<str>, Known)| {
            if stop.is_asked() {
                return Err(ForecastError::Interrupted);
            }
            let request = known.request(question);
            Ok((Arc::clone(id), known.answer(&request, &pools[&(request.lead, request.length)])))
        };
        on_threads(known.len(), || known.par_iter().map(answer).collect())
            .map_err(|_| ForecastError::Threads)?
    }

    /// What all agents have in common, for a window like this. Made anew when there is news.
    fn pool(&mut self, question: &Question, request: &Request) -> Arc<Pool> {
        let window = (request.lead, request.length, quarter(question.start).rem_euclid(PER_HOUR));
        let cached = |cached: &&CachedPool| cached.window == window && cached.revision == self.revision;
        if let Some(cached) = self.pools.iter().find(cached) {
            return Arc::clone(&cached.pool);
        }
        let agents: Vec<&Agent> = self.agents.values().collect();
        let tracks: Vec<Track> = sample(agents.len())
            .into_iter()
            .filter_map(|i| self.known(agents[i], question))
            .map(|known| Track::of(&known.history.hours, request))
            .collect();
        let pool = Arc::new(Pool::of(&tracks));
        self.pools.retain(|cached| cached.revision == self.revision && cached.window != window);
        self.pools.truncate(MAX_POOLS - 1);
        self.pools.push(CachedPool { window, revision: self.revision, pool: Arc::clone(&pool) });
        pool
    }

    /// An agent's history before the window, if it is enough to learn from.
    fn known(&self, agent: &Agent, question: &Question) -> Option<Known> {
        let learning_days = self.learning.days.into();
        let window = Window { start: quarter(question.start), hours: question.hours, learning_days };
        let history = window.history(&agent.usage, &self.learning.zone)?;
        let origin = window.origin(&agent.usage);
        let points = agent.usage.points(origin - learning_days * 24 * PER_HOUR, origin);
        (points >= self.learning.min_points).then_some(Known { history, window, origin, points })
    }

    /// What is known of an agent, up to the last quarter-hour that is over.
    #[must_use]
    pub fn usage(&self, agent: &str) -> Option<KnownUsage> {
        let usage = &self.agents.get(agent)?.usage;
        let most = i64::from(self.learning.days) * 24 * PER_HOUR;
        let first = usage.first(usage.until(), most)?.max(usage.until() - most);
        let quarters: Vec<f64> = (first..usage.until()).map(|at| usage.amount(at)).collect();
        let points = usage.points(first, usage.until());
        (!quarters.is_empty()).then_some(KnownUsage { start: wall(first), quarters, points })
    }

    /// Ids of the agents of which anything is known, sorted.
    #[must_use]
    pub fn agents(&self) -> Vec<Arc<str>> {
        self.agents.keys().cloned().collect()
    }

    /// Memory of an agent, its name aside.
    #[must_use]
    pub fn bytes(&self, agent: &str) -> Option<usize> {
        self.agents.get(agent).map(|agent| size_of::<Agent>() + agent.usage.bytes())
    }
}

impl Agent {
    /// Nothing happened until now.
    fn pause(&mut self, seen: Seen, now: Wall) {
        self.seen = Some(Seen { at: now, ..seen });
        self.usage.know_until(quarter(now), quarter(now));
    }

    /// Takes what is newer than what was seen; whether that is any usage.
    fn note(&mut self, log: &UsageLog, seen: Seen, days: i64, now: Wall) -> bool {
        let units: i128 = log.sums.iter().chain(&log.recent).map(|usage| usage.units).sum();
        let mut rest = Rest { units: units - seen.units, points: log.count - seen.count };
        let is_news = rest.points > 0;
        // A clock that was ahead, then or meanwhile, says nothing of when the sums end or begin.
        let (mut until, since) = (now, if seen.at <= now { seen.at } else { Wall(i64::MIN) });
        for usage in log.recent.iter().rev().take_while(|usage| usage.sequence > seen.sequence) {
            self.usage.add(quarter(usage.start), amount(usage.units), 1, days, quarter(now));
            rest.take(usage.units, 1);
            until = until.min(usage.start);
        }
        let sums = log.sums.iter().filter(|sum| sum.sequence > seen.sequence);
        self.usage.add_sums(sums.rev(), rest, since..until, (days, quarter(now)));
        self.usage.know_until(quarter(now), quarter(now));
        self.seen = Some(Seen { sequence: log.sequence, count: log.count, units, at: now });
        is_news
    }
}

/// Usage that is new but was summed by hour before anybody read it.
#[derive(Clone, Copy)]
struct Rest {
    units: i128,
    points: u64,
}

impl Rest {
    fn take(&mut self, units: i128, points: u64) {
        self.units -= units;
        self.points = self.points.saturating_sub(points);
    }
}

impl Quarters {
    /// Adds what is new in sums, newest first, of which the days that are `kept` before now stay. The new part of a sum came after the old one, so hours are all
    /// new from the newest backwards, until the rest is used up in the hour of the last reading.
    fn add_sums<'a>(
        &mut self,
        sums: impl Iterator<Item = &'a Usage>,
        mut rest: Rest,
        span: Range<Wall>,
        kept: (i64, Quarter),
    ) {
        let all = rest;
        for sum in sums {
            if rest.units == 0 {
                break;
            }
            let units = rest.units.min(sum.units);
            let is_last = units == rest.units;
            let points = if is_last { rest.points } else { share(all.points, units, all.units) };
            rest.take(units, points);
            let hour = quarter(sum.start);
            let last = (hour + PER_HOUR - 1).min(quarter(span.end)).max(hour);
            self.spread(quarter(span.start).clamp(hour, last), last, amount(units), points, kept);
        }
        // Only a clock that was set back leaves anything.
        self.spread(quarter(span.end), quarter(span.end), amount(rest.units), rest.points, kept);
    }

    /// Adds usage evenly to the quarter-hours from `first` to `last`.
    fn spread(&mut self, first: Quarter, last: Quarter, amount: f64, points: u64, kept: (i64, Quarter)) {
        if amount <= 0.0 {
            return;
        }
        let (days, now) = kept;
        let count = usize::try_from(last - first + 1).unwrap_or(1);
        for at in first..=last {
            self.add(at, amount / number(count), if at == last { points } else { 0 }, days, now);
        }
    }
}

/// `points * part / whole`, rounded down.
fn share(points: u64, part: i128, whole: i128) -> u64 {
    let share = i128::from(points).checked_mul(part).map_or(0, |product| product / whole.max(1));
    u64::try_from(share).unwrap_or_default().min(points)
}

/// An agent's history, and the window after it.
struct Known {
    history: LocalHours,
    window: Window,
    origin: Quarter,
    points: u64,
}

impl Known {
    const fn request(&self, question: &Question) -> Request {
        let LocalHours { lead, length, .. } = self.history;
        Request { lead, length, level: question.level, margin: question.margin }
    }

    fn answer(&self, request: &Request, pool: &Pool) -> Prediction {
        let mut forecast = Track::of(&self.history.hours, request).forecast(pool);
        // A window across a change of the clock has an hour more or less than the clock shows.
        let scale = number(self.window.hours) / number(request.length);
        for amount in [&mut forecast.median, &mut forecast.lower, &mut forecast.upper] {
            *amount *= scale;
        }
        Prediction {
            forecast,
            start: wall(self.window.start),
            known_until: wall(self.origin),
            hours: self.history.hours.len(),
            points: self.points,
        }
    }
}

const fn quarter(at: Wall) -> Quarter {
    at.0.div_euclid(QUARTER_NANOS)
}

const fn wall(at: Quarter) -> Wall {
    Wall(at.saturating_mul(QUARTER_NANOS))
}

#[expect(clippy::cast_precision_loss, reason = "forecasts are estimates: books stay exact, in the ledger")]
const fn amount(units: i128) -> f64 {
    units as f64 / UNITS_PER_AMOUNT
}
