//! What series of demand will need: forecasts, how far off they have been, and what that says of the next one.

mod next_hour;

pub use next_hour::{MAX_DEMAND, MAX_SEASON, MAX_SEASONS, NextHour, NextHourError, Outlook};
