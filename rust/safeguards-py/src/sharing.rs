//! Fair divisions for Python.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use safeguards_core::amount::Amount;
use safeguards_core::sharing::{Allocation, Claims, Limit, SharingError, allocate, fill};

use crate::amount::{charge, grant, to_decimal};
use crate::amounts::{Amounts, Items, by_resource, items, place, to_dict};
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
        let capacities = by_resource(capacities, "capacities")?;
        let capacities: Vec<_> = Amounts::granted(&capacities, "capacities")?.iter().collect();
        let resources = places(capacities.iter().map(|(name, _)| *name));
        let demands = items(demands, "demands", "agents to what a task takes")?;
        let table = Table { agents: &demands, resources };
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

fn places<'a>(names: impl Iterator<Item = &'a str>) -> Places<'a> {
    names.enumerate().map(|(place, name)| (name, place)).collect()
}

/// Agents and resources, and what is said of them.
struct Table<'a, 'py> {
    agents: &'a Items<'py>,
    resources: Places<'a>,
}

impl Table<'_, '_> {
    /// What a task takes, a row for each agent.
    fn demands(&self) -> PyResult<Vec<Amount>> {
        let width = self.resources.len();
        let mut matrix = vec![Amount::ZERO; self.agents.len() * width];
        for ((agent, given), row) in self.agents.iter().zip(matrix.chunks_mut(width.max(1))) {
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
        for (resource, amount) in &row_items {
            let column = self.column(resource, argument)?;
            row[column] =
                charge(amount, "demands").or_else(|_| charge(amount, &place(&argument(), resource)))?;
        }
        Ok(())
    }

    fn column(&self, resource: &Bound<'_, PyString>, argument: impl FnOnce() -> String) -> PyResult<usize> {
        let name = resource.to_str()?;
        self.resources.get(name).copied().ok_or_else(|| self.unknown_resource(resource, &argument()))
    }

    #[cold]
    fn unknown_resource(&self, resource: &Bound<'_, PyString>, argument: &str) -> PyErr {
        let py = resource.py();
        let mut known: Vec<_> = self.resources.keys().copied().collect();
        known.sort_unstable();
        let fields = PyDict::new(py);
        let filled = fields.set_item("resource", resource).and_then(|()| fields.set_item("known", &known));
        let text = format!(
            "{argument} names resource {:?}, of which there is no capacity: capacities has {known:?}",
            resource.to_string_lossy()
        );
        filled.map_or_else(|error| error, |()| exception(py, "UnknownResourceError", text, &fields))
    }

    /// The weights of agents, equal for all resources or one for each.
    fn weights(&self, given: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
        let width = self.resources.len();
        let rows = self.rows()?;
        let mut weights = vec![1.0; self.agents.len() * width];
        for (agent, weight) in &items(given, "weights", "agents to weights")? {
            let row = row_of(&rows, agent, "weights")?;
            let row = &mut weights[row * width..][..width];
            // The place is put into words only for an error.
            let argument = || place("weights", agent);
            if let Ok(weight) = weight.extract::<f64>() {
                row.fill(check_weight(weight, given.py(), argument)?);
                continue;
            }
            for (resource, weight) in &items(weight, &argument(), "resource types to weights")? {
                let (column, argument) = (self.column(resource, argument)?, || place(&argument(), resource));
                let weight = weight.extract::<f64>();
                let weight =
                    weight.map_err(|_| PyTypeError::new_err(format!("{} must be a number", argument())))?;
                row[column] = check_weight(weight, given.py(), argument)?;
            }
        }
        Ok(weights)
    }

    /// The most tasks that each agent can use, if it is said.
    fn caps(&self, given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Option<Amount>>> {
        let mut caps = vec![None; self.agents.len()];
        let Some(given) = given else { return Ok(caps) };
        let rows = self.rows()?;
        for (agent, cap) in &items(given, "caps", "agents to tasks")? {
            let cap = grant(cap, "caps").or_else(|_| grant(cap, &place("caps", agent)))?;
            caps[row_of(&rows, agent, "caps")?] = Some(cap);
        }
        Ok(caps)
    }

    fn rows(&self) -> PyResult<Places<'_>> {
        let names = self.agents.iter().map(|(agent, _)| agent.to_str()).collect::<PyResult<Vec<_>>>()?;
        Ok(places(names.into_iter()))
    }

    fn refuse(&self, py: Python<'_>, error: SharingError) -> PyErr {
        let SharingError::Unbounded(row) = error;
        let argument = place("demands", &self.agents[row].0);
        configuration_error(
            py,
            format!("{argument} takes nothing of any resource: give it a cap, or leave it out"),
        )
    }
}

fn row_of(rows: &Places<'_>, agent: &Bound<'_, PyString>, argument: &str) -> PyResult<usize> {
    rows.get(agent.to_str()?).copied().ok_or_else(|| {
        let name = agent.to_string_lossy();
        configuration_error(
            agent.py(),
            format!("{argument} names {name:?}, which demands nothing: add it to demands"),
        )
    })
}

fn check_weight(weight: f64, py: Python<'_>, argument: impl FnOnce() -> String) -> PyResult<f64> {
    if WEIGHTS.contains(&weight) {
        return Ok(weight);
    }
    let argument = argument();
    Err(configuration_error(py, format!("{argument} must be a weight from 1e-9 to 1e9, not {weight}")))
}

/// Tasks of agents whose demands stand in the rows of an array.
#[pyfunction]
pub(crate) fn fair_tasks<'py>(
    py: Python<'py>,
    demands: PyReadonlyArray2<'py, f64>,
    capacities: PyReadonlyArray1<'py, f64>,
    weights: PyReadonlyArray1<'py, f64>,
    caps: PyReadonlyArray1<'py, f64>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let claims = Claims {
        capacities: capacities.as_array().iter().copied().map(Into::into).collect(),
        demands: demands.as_array().iter().copied().map(Into::into).collect(),
        weights: weights.as_array().to_vec(),
        caps: caps.as_array().iter().copied().map(Into::into).collect(),
    };
    let filling = py.detach(|| fill(&claims)).map_err(|SharingError::Unbounded(row)| {
        configuration_error(
            py,
            format!("demands[{row}] takes nothing of any resource: give it a cap, or leave it out"),
        )
    })?;
    Ok(filling.tasks.iter().map(|tasks| f64::from(*tasks)).collect::<Vec<_>>().into_pyarray(py))
}
