//! Those who wait for one account, in their order: who is the first that needs no more than there is?
//!
//! A treap: a tree ordered by rank, and a heap by numbers that look like chance. Each node knows the least that anybody
//! below it needs, so that the first who fits is found on one way down.

/// A place in the order: the higher priority first, and then who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Rank(u64);

const TICKET_BITS: u32 = 56;

impl Rank {
    /// Before all others.
    pub(super) const FIRST: Self = Self(0);

    /// Of a call by an agent of this priority, which was the `ticket`th to wait.
    pub(super) const fn new(priority: u8, ticket: u64) -> Self {
        Self(((u8::MAX - priority) as u64) << TICKET_BITS | ticket & ((1 << TICKET_BITS) - 1))
    }
}

/// Those who wait for one account.
#[derive(Debug, Default)]
pub(super) struct Lane {
    nodes: Vec<Node>,
    free: Vec<Link>,
    root: Link,
    len: usize,
    /// Nodes that were looked at, ever: what a bound on the work is tested with.
    #[cfg(test)]
    pub(super) looks: usize,
}

#[derive(Debug)]
struct Node {
    rank: Rank,
    needs: i128,
    /// The least of what it and all below it need.
    least: i128,
    left: Link,
    right: Link,
}

/// One more than the place of a node; zero for none.
type Link = u32;
const NONE: Link = 0;

impl Lane {
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The least that anybody needs; `i128::MAX` if nobody waits.
    pub(super) fn least(&self) -> i128 {
        self.least_of(self.root)
    }

    /// Adds somebody who is not in it.
    pub(super) fn insert(&mut self, rank: Rank, needs: i128) {
        let node = Node { rank, needs, least: needs, left: NONE, right: NONE };
        let new = self.store(node);
        let (before, after) = self.split(self.root, rank);
        let before = self.merge(before, new);
        self.root = self.merge(before, after);
        self.len += 1;
    }

    /// Removes somebody: false if they are not in it.
    pub(super) fn remove(&mut self, rank: Rank) -> bool {
        let (before, rest) = self.split(self.root, rank);
        let (own, after) = self.split(rest, Rank(rank.0 + 1));
        self.root = self.merge(before, after);
        if own != NONE {
            self.free.push(own);
            self.len -= 1;
        }
        own != NONE
    }

    /// The first who needs no more than `room`.
    pub(super) fn first_within(&mut self, room: i128) -> Option<Rank> {
        let mut at = self.root;
        while self.least_of(at) <= room && at != NONE {
            self.look();
            let node = self.node(at);
            if self.least_of(node.left) <= room && node.left != NONE {
                at = node.left;
            } else if node.needs <= room {
                return Some(node.rank);
            } else {
                at = node.right;
            }
        }
        None
    }

    /// Everybody, in their order.
    pub(super) fn ranks(&self) -> Vec<Rank> {
        let (mut ranks, mut open, mut at) = (Vec::with_capacity(self.len), Vec::new(), self.root);
        while at != NONE || !open.is_empty() {
            while at != NONE {
                open.push(at);
                at = self.node(at).left;
            }
            if let Some(link) = open.pop() {
                ranks.push(self.node(link).rank);
                at = self.node(link).right;
            }
        }
        ranks
    }

    fn store(&mut self, node: Node) -> Link {
        if let Some(link) = self.free.pop() {
            self.nodes[link as usize - 1] = node;
            return link;
        }
        self.nodes.push(node);
        // Four thousand million calls do not wait at once: each is a thread or a task.
        Link::try_from(self.nodes.len()).unwrap_or(NONE)
    }

    fn node(&self, link: Link) -> &Node {
        &self.nodes[link as usize - 1]
    }

    fn least_of(&self, link: Link) -> i128 {
        if link == NONE { i128::MAX } else { self.node(link).least }
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "counted by tests"))]
    const fn look(&mut self) {
        #[cfg(test)]
        {
            self.looks += 1;
        }
    }

    /// Those before `rank`, and all others.
    fn split(&mut self, link: Link, rank: Rank) -> (Link, Link) {
        if link == NONE {
            return (NONE, NONE);
        }
        self.look();
        let Node { rank: own, left, right, .. } = *self.node(link);
        if own < rank {
            let (before, after) = self.split(right, rank);
            (self.with_children(link, left, before), after)
        } else {
            let (before, after) = self.split(left, rank);
            let after = self.with_children(link, after, right);
            (before, after)
        }
    }

    /// All of `before`, and then all of `after`.
    fn merge(&mut self, before: Link, after: Link) -> Link {
        if before == NONE || after == NONE {
            return before.max(after);
        }
        self.look();
        let (one, other) = (self.node(before), self.node(after));
        if chance(one.rank) > chance(other.rank) {
            let (left, right) = (one.left, one.right);
            let right = self.merge(right, after);
            self.with_children(before, left, right)
        } else {
            let (left, right) = (other.left, other.right);
            let left = self.merge(before, left);
            self.with_children(after, left, right)
        }
    }

    fn with_children(&mut self, link: Link, left: Link, right: Link) -> Link {
        let least = self.least_of(left).min(self.least_of(right));
        let node = &mut self.nodes[link as usize - 1];
        (node.left, node.right, node.least) = (left, right, node.needs.min(least));
        link
    }
}

/// A number that looks like chance, and is the same for the same rank.
const fn chance(rank: Rank) -> u64 {
    let x = rank.0.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_lane_finds_what_a_list_finds(
            steps in prop::collection::vec((0_u8..4, 1_u8..4, 0_u64..20, 0_i128..10), 1..200)
        ) {
            let (mut lane, mut list) = (Lane::default(), BTreeMap::new());
            for (kind, priority, ticket, amount) in steps {
                let rank = Rank::new(priority, ticket);
                match kind {
                    0 | 1 if !list.contains_key(&rank) => {
                        lane.insert(rank, amount);
                        list.insert(rank, amount);
                    }
                    2 => prop_assert_eq!(lane.remove(rank), list.remove(&rank).is_some()),
                    _ => {}
                }
                let first = list.iter().find(|(_, needs)| **needs <= amount).map(|(rank, _)| *rank);
                prop_assert_eq!(lane.first_within(amount), first);
                prop_assert_eq!(lane.least(), list.values().copied().min().unwrap_or(i128::MAX));
                prop_assert_eq!(lane.ranks(), list.keys().copied().collect::<Vec<_>>());
                prop_assert_eq!(lane.is_empty(), list.is_empty());
            }
        }
    }

    #[test]
    fn the_higher_priority_comes_first_and_then_the_older() {
        let mut ranks = [(5, 1), (5, 2), (10, 3), (1, 0)].map(|(p, t)| Rank::new(p, t));
        ranks.sort_unstable();
        assert_eq!(ranks, [(10, 3), (5, 1), (5, 2), (1, 0)].map(|(p, t)| Rank::new(p, t)));
    }

    #[test]
    fn a_step_costs_the_same_for_ten_thousand_as_for_a_hundred_but_for_a_logarithm() {
        let looks = |n: u64| {
            let mut lane = Lane::default();
            for ticket in 0..n {
                lane.insert(Rank::new(5, ticket), i128::from(n - ticket));
            }
            for room in 1..=n {
                assert_eq!(lane.first_within(i128::from(room)), Some(Rank::new(5, n - room)));
                assert!(lane.remove(Rank::new(5, n - room)));
            }
            lane.looks / usize::try_from(n).unwrap()
        };
        let (few, many) = (looks(100), looks(10_000));
        assert!(many < 3 * few, "{few} looks for each of a hundred, {many} of ten thousand");
    }
}
