//! Pours an amount into slots so that what the last drop is worth is the same in all of them.

/// How many criteria there are.
pub(super) const CRITERIA: usize = 3;

/// What one more unit in a slot is worth when it holds `w`: `slope - bend * w`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Criterion {
    pub(super) slope: f64,
    pub(super) bend: f64,
}

/// Something that holds at most `cap`. Where slots are worth the same by one criterion, the next one decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) cap: f64,
    pub(super) criteria: [Criterion; CRITERIA],
}

/// What each slot holds, and what a last drop is worth by the first criterion, if there is a slot at all.
pub(super) struct Filled {
    pub(super) shares: Vec<f64>,
    pub(super) price: Option<f64>,
}

/// Maximises the worth of `demand` in all: `Σ slope w - bend w²/2`. Slots that hold less than the demand are
/// full.
pub(super) fn fill(slots: &[Slot], demand: f64) -> Filled {
    let mut shares = vec![0.0; slots.len()];
    let members: Vec<usize> = (0..slots.len()).filter(|&k| slots[k].cap > 0.0).collect();
    let price = (!members.is_empty()).then(|| pour(slots, &members, demand, 0, &mut shares));
    Filled { shares, price }
}

/// Pours by one criterion, the next ones deciding among the slots that are worth the same; returns the price.
fn pour(slots: &[Slot], members: &[usize], demand: f64, level: usize, shares: &mut [f64]) -> f64 {
    if demand <= 0.0 {
        return members.iter().map(|&k| slots[k].criteria[level].slope).fold(f64::NEG_INFINITY, f64::max);
    }
    let ramps: Vec<Ramp> = members.iter().map(|&k| Ramp::new(k, &slots[k], demand, level)).collect();
    let mut prices: Vec<f64> = ramps.iter().flat_map(|ramp| [ramp.start, ramp.end]).collect();
    prices.sort_by(|a, b| b.total_cmp(a));
    prices.dedup();
    // What is held grows as the price falls: bisect for the first price that attracts the demand.
    let at = prices.partition_point(|&price| held(&ramps, price, Side::Below) < demand);
    let Some(&price) = prices.get(at) else {
        for ramp in &ramps {
            shares[ramp.slot] = ramp.cap;
        }
        return prices.last().copied().unwrap_or(0.0);
    };
    let without_ties = held(&ramps, price, Side::Above);
    if without_ties < demand {
        let (tied, others): (Vec<Ramp>, Vec<Ramp>) =
            ramps.into_iter().partition(|ramp| ramp.is_step_at(price));
        for ramp in others {
            shares[ramp.slot] = ramp.held(price, Side::Above);
        }
        pour_among_equals(slots, &tied, demand - without_ties, level, shares);
        return price;
    }
    // At the highest price nothing is held above it, so there is one before. Between two neighbouring prices
    // every slot is a straight line: going along it, rather than dividing by its bend, keeps what a nearly flat
    // slot holds exact.
    let higher = prices[at - 1];
    let fewer = held(&ramps, higher, Side::Below);
    let way = (demand - fewer) / (without_ties - fewer);
    for ramp in &ramps {
        let (least, most) = (ramp.held(higher, Side::Below), ramp.held(price, Side::Above));
        shares[ramp.slot] = least + way * (most - least);
    }
    higher + way * (price - higher)
}

fn pour_among_equals(slots: &[Slot], tied: &[Ramp], demand: f64, level: usize, shares: &mut [f64]) {
    if level + 1 < CRITERIA {
        let members: Vec<usize> = tied.iter().map(|ramp| ramp.slot).collect();
        pour(slots, &members, demand, level + 1, shares);
        return;
    }
    let caps: f64 = tied.iter().map(|ramp| ramp.cap).sum();
    for ramp in tied {
        shares[ramp.slot] = ramp.cap * (demand / caps);
    }
}

fn held(ramps: &[Ramp], price: f64, side: Side) -> f64 {
    ramps.iter().map(|ramp| ramp.held(price, side)).sum()
}

/// Which side of a price: a step that lies at the price itself is full just below it and empty just above.
#[derive(Clone, Copy)]
enum Side {
    Above,
    Below,
}

/// How much a slot holds at each price: nothing down to `start`, then more, then its cap from `end` on.
struct Ramp {
    slot: usize,
    cap: f64,
    bend: f64,
    start: f64,
    end: f64,
}

impl Ramp {
    fn new(number: usize, slot: &Slot, demand: f64, level: usize) -> Self {
        let Criterion { slope, bend } = slot.criteria[level];
        let cap = slot.cap.min(demand);
        Self { slot: number, cap, bend, start: slope, end: slope - bend * cap }
    }

    /// Also where the ramp is too steep for two floats to tell its ends apart.
    #[expect(clippy::float_cmp, reason = "equal is what is meant")]
    fn is_step(&self) -> bool {
        self.start == self.end
    }

    #[expect(clippy::float_cmp, reason = "prices are the ends of ramps, to the last bit")]
    fn is_step_at(&self, price: f64) -> bool {
        self.is_step() && self.start == price
    }

    #[expect(clippy::float_cmp, reason = "a step is full or empty at its very price")]
    fn held(&self, price: f64, side: Side) -> f64 {
        if price > self.start {
            0.0
        } else if price < self.end {
            self.cap
        } else if self.is_step() {
            if matches!(side, Side::Below) { self.cap } else { 0.0 }
        } else if price == self.end {
            self.cap
        } else {
            ((self.start - price) / self.bend).min(self.cap)
        }
    }
}
