//! What an account is bound by, as people write it: keyword arguments of `create_budget_pool` and `register_agent`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use safeguards_core::amount::Amount;
use safeguards_core::clock::Wall;
use safeguards_core::ledger::{Anchor, Enforcement, Overdraft, Periods, Rollover, Rules};

use crate::amount::{grant, to_decimal};
use crate::arguments::{naming, period, read_text, shown, whole};
use crate::error::configuration_error;
use crate::time_zones::{self, Zone};

/// The rules of a new account that is made at `now`.
pub(crate) fn read(py: Python<'_>, named: Option<&Bound<'_, PyDict>>, now: Wall) -> PyResult<Rules> {
    let Some(named) = named else { return Ok(Rules::default()) };
    let mut asked = Asked::default();
    for (name, value) in named {
        asked.take(name.cast::<PyString>()?.to_str()?, value)?;
    }
    asked.rules(py, now)
}

/// What was asked for.
struct Asked<'py> {
    budget_period: Option<Bound<'py, PyAny>>,
    timezone: Option<Bound<'py, PyAny>>,
    anchor: Anchor,
    rollover: Rollover,
    overdraft: Overdraft,
    overdraft_limit: Option<Amount>,
    max_budget: Option<Amount>,
    enforcement: Enforcement,
    /// Names of arguments that make sense with periods alone, where they are not as they stand by default.
    of_periods: Option<&'static str>,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self {
            budget_period: None,
            timezone: None,
            anchor: Anchor::FIRST,
            rollover: Rollover::default(),
            overdraft: Overdraft::default(),
            overdraft_limit: None,
            max_budget: None,
            enforcement: Enforcement::default(),
            of_periods: None,
        }
    }
}

impl<'py> Asked<'py> {
    fn take(&mut self, name: &str, value: Bound<'py, PyAny>) -> PyResult<()> {
        match name {
            "budget_period" => self.budget_period = Some(value).filter(|value| !value.is_none()),
            "timezone" => self.timezone = Some(value).filter(|value| !value.is_none()),
            "anchor_day" => self.anchor.day = small(&value, "anchor_day", 1, 31)?,
            "anchor_hour" => self.anchor.hour = small(&value, "anchor_hour", 0, 23)?,
            "rollover" => self.rollover = rollover(&value)?,
            "overdraft" => self.overdraft = overdraft(&value)?,
            "overdraft_limit" if value.is_none() => self.overdraft_limit = None,
            "overdraft_limit" => self.overdraft_limit = Some(grant(&value, "overdraft_limit")?),
            "max_budget" if value.is_none() => self.max_budget = None,
            "max_budget" => self.max_budget = Some(grant(&value, "max_budget")?),
            "enforcement" => self.enforcement = enforcement(&value)?,
            _ => return Err(PyTypeError::new_err(format!("got an unexpected keyword argument '{name}'"))),
        }
        self.of_periods = self.of_periods.or(match name {
            "anchor_day" if self.anchor.day != 1 => Some("anchor_day"),
            "anchor_hour" if self.anchor.hour != 0 => Some("anchor_hour"),
            "rollover" if self.rollover != Rollover::default() => Some("rollover"),
            "overdraft" if self.overdraft != Overdraft::default() => Some("overdraft"),
            _ => None,
        });
        Ok(())
    }

    fn rules(self, py: Python<'_>, now: Wall) -> PyResult<Rules> {
        let Self { budget_period, timezone, anchor, rollover, overdraft, overdraft_limit, .. } = self;
        let (max_budget, enforcement, of_periods) = (self.max_budget, self.enforcement, self.of_periods);
        let zone = timezone.as_ref().map(zone).transpose()?;
        let schedule = time_zones::schedule(py, period(budget_period.as_ref())?, zone, now)?;
        if let (None, Some(name)) = (&schedule, of_periods) {
            let text = format!("{name} is about periods: give the account a budget_period as well");
            return Err(configuration_error(py, text));
        }
        let periods =
            schedule.map(|schedule| Periods { schedule: schedule.anchored(anchor), rollover, overdraft });
        Ok(Rules { periods, overdraft_limit, max_budget, enforcement })
    }
}

fn small(value: &Bound<'_, PyAny>, argument: &str, least: u8, most: u8) -> PyResult<u8> {
    let asked = whole(value).map_err(|error| naming(value, argument, error))?;
    let fits = u8::try_from(asked).ok().filter(|asked| (least..=most).contains(asked));
    fits.ok_or_else(|| {
        let text = format!("{argument} must be from {least} to {most}, not {}", shown(value));
        configuration_error(value.py(), text)
    })
}

/// A zone in any of the forms that Python's reader knows.
fn zone(value: &Bound<'_, PyAny>) -> PyResult<Zone> {
    static READ: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let read = READ.import(value.py(), "safeguards._values.time_zones", "read")?;
    read.call1((value,))?.getattr("native")?.extract()
}

fn rollover(value: &Bound<'_, PyAny>) -> PyResult<Rollover> {
    match read_text(value, "rollover") {
        Ok("none") => Ok(Rollover::Nothing),
        Ok("all") => Ok(Rollover::All),
        _ => grant(value, "rollover").map(Rollover::AtMost).map_err(|error| {
            let name = if error.is_instance_of::<PyTypeError>(value.py()) { None } else { Some(value) };
            name.filter(|value| value.is_instance_of::<PyString>()).map_or(error, |value| {
                let text = format!("rollover must be \"none\", \"all\" or an amount, not {}", shown(value));
                configuration_error(value.py(), text)
            })
        }),
    }
}

fn overdraft(value: &Bound<'_, PyAny>) -> PyResult<Overdraft> {
    match read_text(value, "overdraft") {
        Ok("carry") => Ok(Overdraft::Carry),
        Ok("forgive") => Ok(Overdraft::Forgive),
        _ => {
            let text = format!("overdraft must be \"carry\" or \"forgive\", not {}", shown(value));
            Err(configuration_error(value.py(), text))
        }
    }
}

/// What an account does where it cannot pay.
pub(crate) fn enforcement(value: &Bound<'_, PyAny>) -> PyResult<Enforcement> {
    match read_text(value, "enforcement") {
        Ok("enforce") => Ok(Enforcement::Enforce),
        Ok("warn") => Ok(Enforcement::Warn),
        Ok("shadow") => Ok(Enforcement::Shadow),
        _ => {
            let text =
                format!("enforcement must be \"enforce\", \"warn\" or \"shadow\", not {}", shown(value));
            Err(configuration_error(value.py(), text))
        }
    }
}

/// In the words of the argument.
pub(crate) const fn enforcement_name(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Enforce => "enforce",
        Enforcement::Warn => "warn",
        Enforcement::Shadow => "shadow",
    }
}

/// Rules in the words of the arguments.
pub(crate) fn tell(named: &Bound<'_, PyDict>, rules: &Rules) -> PyResult<()> {
    let (py, periods) = (named.py(), rules.periods.as_ref());
    let anchor = periods.map_or(Anchor::FIRST, |periods| periods.schedule.anchor());
    named.set_item("anchor_day", anchor.day)?;
    named.set_item("anchor_hour", anchor.hour)?;
    let rollover = match periods.map(|periods| periods.rollover).unwrap_or_default() {
        Rollover::Nothing => PyString::new(py, "none").into_any(),
        Rollover::All => PyString::new(py, "all").into_any(),
        Rollover::AtMost(amount) => to_decimal(py, amount.units())?,
    };
    named.set_item("rollover", rollover)?;
    let overdraft = match periods.map(|periods| periods.overdraft).unwrap_or_default() {
        Overdraft::Carry => "carry",
        Overdraft::Forgive => "forgive",
    };
    named.set_item("overdraft", overdraft)?;
    let limit = rules.overdraft_limit.map(|limit| to_decimal(py, limit.units())).transpose()?;
    named.set_item("overdraft_limit", limit)?;
    let max = rules.max_budget.map(|max| to_decimal(py, max.units())).transpose()?;
    named.set_item("max_budget", max)?;
    named.set_item("enforcement", enforcement_name(rules.enforcement))
}
