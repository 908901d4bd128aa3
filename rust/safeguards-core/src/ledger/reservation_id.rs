//! What names a reservation outside of its process.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::Ledger;
use super::account::Account;
use super::change::Quantities;
use super::closures::Ended;
use super::error::LedgerError;
use super::holds::Held;
use super::operation::OperationId;
use super::path::Joint;
use super::reservation::{Overage, Reservation};
use super::resources::Bundle;

/// Which books, which agent of them, and which of its reservations: found by the books as long as the reservation is
/// active, or remembered. No other reservation ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReservationId {
    /// Of the books: another one for each ledger that is made.
    pub incarnation: u64,
    /// Of the agent, as batches name it.
    pub handle: u32,
    /// 1, 2, 3 and so on, of the agent's reservations.
    pub number: u64,
}

/// A reservation of money, or of resources.
#[derive(Clone, Debug)]
pub enum AnyReservation {
    /// Of money.
    Money(Reservation),
    /// Of resources.
    Resources(Reservation<Bundle>),
}

impl AnyReservation {
    /// The reservation, if it is of money.
    #[must_use]
    pub fn money(self) -> Option<Reservation> {
        match self {
            Self::Money(reservation) => Some(reservation),
            Self::Resources(_) => None,
        }
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}-{:x}", self.incarnation, self.handle, self.number)
    }
}

/// A text that is no id of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no id of a reservation")]
pub struct NoReservationId;

impl FromStr for ReservationId {
    type Err = NoReservationId;

    /// Reads what `Display` writes, and nothing else: an id has one form.
    fn from_str(text: &str) -> Result<Self, NoReservationId> {
        let mut parts = text.split('-').map(|part| u64::from_str_radix(part, 16));
        let mut next = || parts.next().and_then(Result::ok).ok_or(NoReservationId);
        let (incarnation, handle, number) = (next()?, next()?, next()?);
        let handle = handle.try_into().map_err(|_| NoReservationId)?;
        let id = Self { incarnation, handle, number };
        if id.to_string() == text { Ok(id) } else { Err(NoReservationId) }
    }
}

impl<Q> Reservation<Q> {
    /// What names it outside of this process.
    #[must_use]
    pub fn id(&self) -> ReservationId {
        let (incarnation, handle) = (self.incarnation(), self.agent().handle);
        ReservationId { incarnation, handle, number: self.number() }
    }
}

impl Ledger {
    /// The reservation of an id: active, or ended and remembered.
    ///
    /// # Errors
    /// [`LedgerError::UnknownReservation`]: of other books, of an agent that has left, never made, or forgotten.
    pub fn reservation(&self, id: ReservationId) -> Result<AnyReservation, LedgerError> {
        let unknown = || LedgerError::UnknownReservation(id);
        if id.incarnation != self.incarnation {
            return Err(unknown());
        }
        let agent = self.directory.slots().get(id.handle).cloned().map_err(|_| unknown())?;
        self.expire_due();
        let state = agent.lock();
        if let Some(held) = state.hold(id.number) {
            return Ok(self.active(&agent, id.number, held));
        }
        let ended = self.closures.ended(&agent, id.number).ok_or_else(unknown)?;
        let Ended { what, operation, overage, joint, .. } = ended;
        Ok(self.any(&agent, joint, what, id.number, operation, overage))
    }

    /// Every active reservation of an agent, by number.
    pub fn reservations(&self, agent: &Arc<Account>) -> Result<Vec<AnyReservation>, LedgerError> {
        let state = self.read(agent)?;
        let mut active: Vec<_> = state.holds.iter().flat_map(|holds| holds.iter()).collect();
        active.sort_unstable_by_key(|(number, _)| *number);
        Ok(active.into_iter().map(|(number, held)| self.active(agent, number, held)).collect())
    }

    /// Every active reservation, by agent and number. An agent that leaves meanwhile has none.
    #[must_use]
    pub fn all_reservations(&self) -> Vec<AnyReservation> {
        self.agents().iter().flat_map(|agent| self.reservations(agent).unwrap_or_default()).collect()
    }

    /// A handle of an active reservation.
    fn active(&self, agent: &Arc<Account>, number: u64, held: &Held) -> AnyReservation {
        let Held { what, operation, overage, joint, .. } = held;
        self.any(agent, joint.clone(), what.clone(), number, *operation, *overage)
    }

    fn any(
        &self,
        agent: &Arc<Account>,
        joint: Option<Arc<Joint>>,
        what: Quantities,
        number: u64,
        operation: OperationId,
        overage: Overage,
    ) -> AnyReservation {
        let agent = Arc::clone(agent);
        match what {
            Quantities::Money(what) => {
                AnyReservation::Money(self.handle_with(agent, joint, what, number, operation, overage))
            }
            Quantities::Resources(what) => {
                AnyReservation::Resources(self.handle_with(agent, joint, *what, number, operation, overage))
            }
        }
    }
}
