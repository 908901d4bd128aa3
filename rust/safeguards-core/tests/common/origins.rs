//! Where the money of one account comes from, the slow way: each unit of each credit is followed by itself.
//!
//! What is below its granularity: a unit of the base is like any other, and charges of one *stretch*, between two credits
//! or periods that begin or end, are like each other. So a refund takes back what was charged last in its stretch, and what
//! was charged in other stretches stays where it is.

/// Where a unit of a credit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    /// By the reservation of this number.
    Held(usize),
    /// In this stretch.
    Spent(usize),
    /// It has filled what was below zero.
    Filled,
    Gone,
}

#[derive(Clone, Debug)]
struct Credit {
    id: u64,
    expires: i64,
    is_running: bool,
    units: Vec<Place>,
}

impl Credit {
    fn count(&self, is_counted: impl Fn(&Place) -> bool) -> i128 {
        self.units.iter().filter(|place| is_counted(place)).count() as i128
    }

    /// Moves at most so many units. Returns how many are missing.
    fn shift(&mut self, from: Place, to: Place, units: i128) -> i128 {
        let mut missing = units;
        for place in self.units.iter_mut().filter(|place| **place == from) {
            if missing > 0 {
                *place = to;
                missing -= 1;
            }
        }
        missing
    }
}

/// The money of one account that is not spent, and whose it was that is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    pub(crate) base: i128,
    /// Units that the base has paid in each stretch.
    paid: Vec<i128>,
    /// In the order in which they end.
    credits: Vec<Credit>,
}

/// Id, left, reserved, spent, gone.
pub(crate) type Line = (u64, i128, i128, i128, i128);

impl Origins {
    pub(crate) fn new(base: i128) -> Self {
        Self { base, paid: vec![0], credits: vec![] }
    }

    pub(crate) fn remaining(&self) -> i128 {
        self.base + self.left()
    }

    pub(crate) fn left(&self) -> i128 {
        self.credits.iter().map(|credit| credit.count(|place| *place == Place::Free)).sum()
    }

    /// What remains beside credits, if these filled what is below zero.
    pub(crate) fn filled_base(&self) -> i128 {
        self.filled().base
    }

    fn filled(&self) -> Self {
        let mut filled = self.clone();
        filled.fill();
        filled
    }

    /// Of credits.
    pub(crate) fn reserved(&self) -> i128 {
        self.credits.iter().map(|credit| credit.count(|place| matches!(place, Place::Held(_)))).sum()
    }

    pub(crate) fn stretch(&self) -> usize {
        self.paid.len() - 1
    }

    pub(crate) fn begin_stretch(&mut self) {
        self.paid.push(0);
    }

    /// Credits fill what is below zero, before a stretch ends.
    pub(crate) fn fill(&mut self) {
        for credit in self.credits.iter_mut().filter(|credit| credit.is_running) {
            let missing = (-self.base).max(0);
            self.base += missing - credit.shift(Place::Free, Place::Filled, missing);
        }
    }

    pub(crate) fn credit(&mut self, id: u64, units: usize, expires: i64) {
        self.fill();
        self.credits.push(Credit { id, expires, is_running: true, units: vec![Place::Free; units] });
        self.credits.sort_by_key(|credit| (credit.expires, credit.id));
        self.begin_stretch();
    }

    /// Ends what is over.
    pub(crate) fn end(&mut self, now: i64) {
        for i in 0..self.credits.len() {
            if self.credits[i].is_running && self.credits[i].expires <= now {
                self.fill();
                let credit = &mut self.credits[i];
                credit.is_running = false;
                let left = credit.count(|place| *place == Place::Free);
                credit.shift(Place::Free, Place::Gone, left);
                self.begin_stretch();
            }
        }
    }

    fn take(&mut self, units: i128, to: Place) -> i128 {
        let mut missing = units;
        for credit in self.credits.iter_mut().filter(|credit| credit.is_running) {
            missing = credit.shift(Place::Free, to, missing);
        }
        self.base -= missing;
        missing
    }

    pub(crate) fn debit(&mut self, units: i128) {
        let stretch = self.stretch();
        self.paid[stretch] += self.take(units, Place::Spent(stretch));
    }

    pub(crate) fn reserve(&mut self, number: usize, units: i128) {
        self.take(units, Place::Held(number));
    }

    /// Ends a reservation: what has ended pays first, the base last.
    pub(crate) fn settle(&mut self, number: usize, held: i128, charged: i128) {
        let (stretch, mut due) = (self.stretch(), charged.min(held));
        let mut of_base = held;
        for is_running in [false, true] {
            for credit in self.credits.iter_mut().filter(|credit| credit.is_running == is_running) {
                let claim = credit.count(|place| *place == Place::Held(number));
                of_base -= claim;
                due -=
                    claim.min(due) - credit.shift(Place::Held(number), Place::Spent(stretch), claim.min(due));
                let back = if is_running { Place::Free } else { Place::Gone };
                credit.shift(Place::Held(number), back, claim);
            }
        }
        self.paid[stretch] += due;
        self.base += of_base - due;
        self.debit((charged - held).max(0));
    }

    /// What remains is `units`: credits are cut if they are more, the last one first.
    pub(crate) fn set(&mut self, units: i128) {
        self.fill();
        let mut excess = (self.left() - units).max(0);
        for credit in self.credits.iter_mut().rev().filter(|credit| credit.is_running) {
            excess = credit.shift(Place::Free, Place::Gone, excess);
        }
        self.base = units - self.left();
        self.begin_stretch();
    }

    /// Gives a charge back.
    pub(crate) fn refund(&mut self, stretch: usize, units: i128, is_current: bool) {
        let of_base = units.min(self.paid[stretch]);
        self.paid[stretch] -= of_base;
        let mut rest = units - of_base;
        for is_running in [true, false] {
            let back = if is_running { Place::Free } else { Place::Gone };
            for credit in self.credits.iter_mut().rev().filter(|credit| credit.is_running == is_running) {
                rest = credit.shift(Place::Spent(stretch), back, rest);
            }
        }
        self.base += if is_current { of_base + rest } else { 0 };
    }

    /// Every credit, by id.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let line = |credit: &Credit| {
            let spent = credit.count(|place| matches!(place, Place::Spent(_) | Place::Filled));
            let held = credit.count(|place| matches!(place, Place::Held(_)));
            let (left, gone) =
                (credit.count(|place| *place == Place::Free), credit.count(|place| *place == Place::Gone));
            (credit.id, left, held, spent, gone)
        };
        let mut lines: Vec<_> = self.filled().credits.iter().map(line).collect();
        lines.sort_unstable();
        lines
    }
}
