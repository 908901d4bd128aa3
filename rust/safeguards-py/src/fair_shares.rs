//! Fair divisions for Python.

use std::cell::OnceCell;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use safeguards_core::amount::Amount;
use safeguards_core::sharing::dominant::{Allocation, allocate};
use safeguards_core::sharing::filling::{Claims, Limit, SharingError, fill};

use crate::amount::{charge, grant, to_decimal};
use crate::amounts::{Amounts, Items, by_resource, items, place, to_dict};
use crate::arguments::{quoted, read_text, real};
use crate::array::{column, matrix};
use crate::error::{configuration_error, exception};

/// Weights are factors that people can think of.
const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-9..=1e9;

/// Where a name stands among the agents or the resources.
type Places<'a> = HashMap<&'a str, usize, RandomState>;

/// Exact shares of agents, by their place among the demands.
#[pyclass(frozen, module = "safeguards._native", name = "FairAllocation")]
pub(crate) struct PyFairAllocation {
    resources: Vec<String>,
    allocation: Allocation,
}

/// Tasks, dominant share, dominant resource, what limits, allocation.
type Share<'py> = (Bound<'py, PyAny>, f64, Option<String>, Option<String>, Bound<'py, PyDict>);

#[pymethods]
impl PyFairAllocation {
    /// Divides `capacities` among agents that take `demands` for each task.
    #[new]
    fn new(
        py: Python<'_>,
        demands: &Bound<'_, PyAny>,
        capacities: &Bound<'_, PyAny>,
        weights: Option<&Bound<'_, PyAny>>,
        caps: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let resources = by_resource(capacities, "capacities")?;
        let capacities: Vec<_> = Amounts::granted(&resources, "capacities")?.iter().collect();
        let agents = items(demands, "demands", "agents to what a task takes")?;
        let table = Table { agents: Names::new(&agents), resources: Names::new(&resources) };
        let matrix = table.demands()?;
        let weights = weights.map(|given| table.weights(given)).transpose()?.unwrap_or_default();
        let caps = table.caps(caps)?;
        let amounts: Vec<_> = capacities.iter().map(|(_, amount)| *amount).collect();
        let outcome = py.detach(|| allocate(&amounts, &matrix, weights, &caps));
        let allocation = outcome.map_err(|error| table.refuse(py, error))?;
        Ok(Self { resources: capacities.iter().map(|(name, _)| (*name).to_owned()).collect(), allocation })
    }

    /// The share of the agent in a row.
    fn share<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Share<'py>> {
        let Allocation { tasks, amounts, dominant, limits } = &self.allocation;
        let width = self.resources.len();
        let name = |column: usize| self.resources[column].clone();
        let limit = match limits[row] {
            Limit::Cap => None,
            Limit::Resource(column) => Some(name(column)),
        };
        let own = amounts[row * width..][..width].iter().map(|amount| amount.units());
        let allocation = to_dict(py, self.resources.iter().zip(own))?;
        let (resource, share) =
            dominant[row].map_or((None, 0.0), |(column, share)| (Some(name(column)), share));
        Ok((to_decimal(py, tasks[row])?, share, resource, limit, allocation))
    }

    /// How much of each resource is given away.
    fn allocated<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let width = self.resources.len();
        let sum =
            |column| self.allocation.amounts.iter().skip(column).step_by(width).map(|a| a.units()).sum();
        to_dict(py, self.resources.iter().zip((0..width).map(sum)))
    }
}

/// Keys of a mapping, and where each stands.
struct Names<'a, 'py> {
    items: &'a Items<'py>,
    /// Made for the first name that does not stand where it was guessed.
    places: OnceCell<Places<'a>>,
}

impl<'a, 'py> Names<'a, 'py> {
    const fn new(items: &'a Items<'py>) -> Self {
        Self { items, places: OnceCell::new() }
    }

    /// Where a name stands. Mostly it is the same object at the same place as in another mapping.
    #[inline]
    fn find(&self, name: &Bound<'_, PyString>, guess: usize) -> PyResult<Option<usize>> {
        if self.items.get(guess).is_some_and(|(known, _)| known.is(name)) {
            return Ok(Some(guess));
        }
        Ok(self.places()?.get(read_text(name.as_any(), "a resource type")?).copied())
    }

    fn places(&self) -> PyResult<&Places<'a>> {
        if let Some(places) = self.places.get() {
            return Ok(places);
        }
        let names = self.items.iter().enumerate();
        let places = names
            .map(|(place, (name, _))| Ok((read_text(name.as_any(), "a resource type")?, place)))
            .collect::<PyResult<_>>()?;
        Ok(self.places.get_or_init(|| places))
    }
}

/// Agents and resources, and what is said of them.
struct Table<'a, 'py> {
    agents: Names<'a, 'py>,
    resources: Names<'a, 'py>,
}

impl Table<'_, '_> {
    /// What a task takes, a row for each agent.
    fn demands(&self) -> PyResult<Vec<Amount>> {
        let (agents, width) = (self.agents.items, self.resources.items.len());
        let mut matrix = vec![Amount::ZERO; agents.len() * width];
        for ((agent, given), place) in agents.iter().zip(0..) {
            let row = &mut matrix[place * width..][..width];
            self.read_row(agent, given, row)?;
        }
        Ok(matrix)
    }

    fn read_row(
        &self,
        agent: &Bound<'_, PyString>,
        given: &Bound<'_, PyAny>,
        row: &mut [Amount],
    ) -> PyResult<()> {
        // The place is put into words only for an error.
        let argument = || place("demands", agent);
        let row_items = by_resource(given, "demands").or_else(|_| by_resource(given, &argument()))?;
        for (guess, (resource, amount)) in row_items.iter().enumerate() {
            let column = self.column(resource, guess, argument)?;
            row[column] =
                charge(amount, "demands").or_else(|_| charge(amount, &place(&argument(), resource)))?;
        }
        Ok(())
    }

    #[inline]
    fn column(
        &self,
        resource: &Bound<'_, PyString>,
        guess: usize,
        argument: impl FnOnce() -> String,
    ) -> PyResult<usize> {
        let column = self.resources.find(resource, guess)?;
        column.map_or_else(|| Err(self.unknown_resource(resource, &argument())), Ok)
    }

    #[inline]
    fn row(&self, agent: &Bound<'_, PyString>, guess: usize, argument: &str) -> PyResult<usize> {
        let row = self.agents.find(agent, guess)?;
        row.map_or_else(|| Err(unknown_agent(agent, argument)), Ok)
    }

    #[cold]
    fn unknown_resource(&self, resource: &Bound<'_, PyString>, argument: &str) -> PyErr {
        let py = resource.py();
        let mut known: Vec<_> =
            self.resources.items.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        known.sort_unstable();
        let fields = PyDict::new(py);
        let filled = fields.set_item("resource", resource).and_then(|()| fields.set_item("known", &known));
        let text = format!(
            "{argument} names resource {}, of which there is no capacity: capacities has {}",
            quoted(&resource.to_string_lossy()),
            known.iter().take(10).map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
        );
        filled.map_or_else(|error| error, |()| exception(py, "UnknownResourceError", text, &fields))
    }

    /// The weights of agents, equal for all resources or one for each.
    fn weights(&self, given: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
        let width = self.resources.items.len();
        let mut weights = vec![1.0; self.agents.items.len() * width];
        for (guess, (agent, weight)) in items(given, "weights", "agents to weights")?.iter().enumerate() {
            let row = self.row(agent, guess, "weights")?;
            let row = &mut weights[row * width..][..width];
            // The place is put into words only for an error.
            let argument = || place("weights", agent);
            if let Ok(weight) = real(weight) {
                row.fill(check_weight(weight, given.py(), argument)?);
                continue;
            }
            let by_resource = items(weight, &argument(), "resource types to weights")?;
            for (guess, (resource, weight)) in by_resource.iter().enumerate() {
                let column = self.column(resource, guess, argument)?;
                let argument = || place(&argument(), resource);
                let weight = real(weight);
                let weight =
                    weight.map_err(|_| PyTypeError::new_err(format!("{} must be a number", argument())))?;
                row[column] = check_weight(weight, given.py(), argument)?;
            }
        }
        Ok(weights)
    }

    /// The most tasks that each agent can use, if it is said.
    fn caps(&self, given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Option<Amount>>> {
        let mut caps = vec![None; self.agents.items.len()];
        let Some(given) = given else { return Ok(caps) };
        for (guess, (agent, cap)) in items(given, "caps", "agents to tasks")?.iter().enumerate() {
            let cap = grant(cap, "caps").or_else(|_| grant(cap, &place("caps", agent)))?;
            caps[self.row(agent, guess, "caps")?] = Some(cap);
        }
        Ok(caps)
    }

    fn refuse(&self, py: Python<'_>, error: SharingError) -> PyErr {
        let SharingError::Unbounded(row) = error;
        let argument = place("demands", &self.agents.items[row].0);
        configuration_error(
            py,
            format!("{argument} takes nothing of any resource: give it a cap, or leave it out"),
        )
    }
}

#[cold]
fn unknown_agent(agent: &Bound<'_, PyString>, argument: &str) -> PyErr {
    let name = agent.to_string_lossy();
    configuration_error(
        agent.py(),
        format!("{argument} names {}, which demands nothing: add it to demands", quoted(&name)),
    )
}

fn check_weight(weight: f64, py: Python<'_>, argument: impl FnOnce() -> String) -> PyResult<f64> {
    if WEIGHTS.contains(&weight) {
        return Ok(weight);
    }
    let argument = argument();
    Err(configuration_error(py, format!("{argument} must be a weight from 1e-9 to 1e9, not {weight}")))
}

/// Floats, to be computed with in twice their precision.
fn figures<T: From<f64>>(values: Vec<f64>) -> Vec<T> {
    values.into_iter().map(Into::into).collect()
}

/// Tasks of agents whose demands stand in the rows of an array.
#[pyfunction]
pub(crate) fn fair_tasks<'py>(
    py: Python<'py>,
    demands: &Bound<'py, PyAny>,
    capacities: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    caps: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let claims = Claims {
        capacities: figures(column(capacities, "capacities")?),
        demands: figures(matrix(demands, "demands")?.0),
        weights: column(weights, "weights")?,
        caps: figures(column(caps, "caps")?),
    };
    let filling = py.detach(|| fill(&claims)).map_err(|SharingError::Unbounded(row)| {
        configuration_error(
            py,
            format!("demands[{row}] takes nothing of any resource: give it a cap, or leave it out"),
        )
    })?;
    Ok(filling.tasks.iter().map(|tasks| f64::from(*tasks)).collect::<Vec<_>>().into_pyarray(py))
}
