//! Allocation for Python: strategies, simulation, a population for one's own loop, the live selector.

use std::ops::Range;
use std::sync::Arc;

use numpy::{PyArray1, PyArray3, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use safeguards_core::allocation as core;

use crate::arguments::{quoted, text};
use crate::array::{column, flags, matrix, tensor};
use crate::error::{configuration_error, exception, no_thread};
use crate::fork::{Gate, Shared};
use crate::watched::watched;

fn refuse(error: core::AllocationError) -> PyErr {
    let text = error.to_string();
    Python::attach(|py| match error {
        core::AllocationError::Threads => no_thread(py, &text),
        _ => configuration_error(py, text),
    })
}

/// A strategy and its parameters, checked when it is used.
#[pyclass(frozen, name = "AllocationStrategy", module = "safeguards._native")]
pub(crate) struct PyStrategy(core::Strategy);

#[pymethods]
impl PyStrategy {
    /// She & Leung 2009.
    #[staticmethod]
    fn adaptive(adjusting_rate: f64, scaling_factor: f64, roulette: bool, per_agent: bool) -> Self {
        let choice = if roulette { core::Choice::Roulette } else { core::Choice::Max };
        let attitude = if per_agent { core::Attitude::Agent } else { core::Attitude::Resource };
        Self(core::Strategy::Adaptive(core::Adaptive { adjusting_rate, scaling_factor, choice, attitude }))
    }

    /// Lam & Leung 2007.
    #[staticmethod]
    const fn lam_leung(history: usize, increase: f64, decrease: f64) -> Self {
        Self(core::Strategy::LamLeung(core::LamLeung { history, increase, decrease }))
    }

    /// Galstyan, Kolar & Lerman 2003.
    #[staticmethod]
    const fn galstyan(neighbours: usize, tables: usize) -> Self {
        Self(core::Strategy::Galstyan(core::Galstyan { neighbours, tables }))
    }

    /// Own wins and losses and past capacities.
    #[staticmethod]
    const fn win_stay() -> Self {
        Self(core::Strategy::WinStay)
    }

    /// Public past loads and capacities.
    #[staticmethod]
    const fn flow() -> Self {
        Self(core::Strategy::Flow)
    }

    /// Each agent on its own, in proportion to the forecast capacities.
    #[staticmethod]
    const fn random() -> Self {
        Self(core::Strategy::Random)
    }

    /// A centre that sets loads to the previous capacities.
    #[staticmethod]
    const fn previous_capacity() -> Self {
        Self(core::Strategy::PreviousCapacity)
    }

    /// A rule in Python: `start(n_agents, n_resources, seed)` makes the agents of a trial.
    #[staticmethod]
    fn custom(start: Py<PyAny>) -> Self {
        let make = move |agents: usize, resources: usize, seed: u64| -> Box<dyn core::Choosers> {
            Box::new(PyChoosers(Python::attach(|py| start.call1(py, (agents, resources, seed)).ok())))
        };
        Self(core::Strategy::Custom(core::Custom::new(Arc::new(make))))
    }

    /// Strategies side by side, each with its part of the agents.
    #[staticmethod]
    #[expect(clippy::needless_pass_by_value, reason = "as arguments come from Python")]
    fn mixed(strategies: Vec<PyRef<'_, Self>>, parts: Vec<f64>) -> Self {
        let strategies = strategies.iter().map(|strategy| strategy.0.clone());
        Self(core::Strategy::Mixed(core::Mixed::new(strategies.zip(parts).collect())))
    }

    /// Refuses parameters that make no sense with this number of resources.
    fn check(&self, resources: usize) -> PyResult<()> {
        self.0.check(resources).map_err(refuse)
    }

    /// Bytes of state that a simulation keeps for each agent.
    fn bytes_per_agent(&self, resources: usize) -> usize {
        self.0.bytes_per_agent(resources)
    }
}

/// Agents in Python: a function that takes all that is public and returns their choices. What goes wrong in
/// it is kept there, and raised by the caller.
struct PyChoosers(Option<Py<PyAny>>);

impl core::Choosers for PyChoosers {
    fn turn(
        &mut self,
        agents: Range<usize>,
        public: core::Public<'_>,
        outcome: Option<&[bool]>,
        choices: &mut [u16],
    ) -> bool {
        let Some(turn) = &self.0 else { return false };
        Python::attach(|py| {
            let arguments = (
                (agents.start, agents.end, public.step),
                PyArray1::from_slice(py, public.capacities),
                PyArray1::from_slice(py, public.loads),
                PyArray1::from_slice(py, public.overloaded),
                outcome.map(|outcome| PyArray1::from_slice(py, outcome)),
                PyArray1::from_slice(py, choices),
            );
            let chosen = turn.call1(py, arguments).and_then(|found| column::<u16>(found.bind(py), "choices"));
            let Ok(chosen) = chosen else { return false };
            let fits = chosen.len() == choices.len();
            if fits {
                choices.copy_from_slice(&chosen);
            }
            fits
        })
    }
}

/// Runs all trials; the loads as an int64 array of shape (trials, T, Q).
#[pyfunction]
#[pyo3(signature = (strategy, capacities, *, n_agents, trials, first_trial, seed, initial_attitudes, observation_noise,
    careless_fraction, task_units, task_steps, allow_scarcity, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments, one for each field of the experiment")]
pub(crate) fn simulate_allocation<'py>(
    py: Python<'py>,
    strategy: &PyStrategy,
    capacities: &Bound<'py, PyAny>,
    n_agents: usize,
    trials: usize,
    first_trial: u64,
    seed: u64,
    initial_attitudes: Option<&Bound<'py, PyAny>>,
    observation_noise: f64,
    careless_fraction: f64,
    task_units: u32,
    task_steps: u32,
    allow_scarcity: bool,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyArray3<i64>>> {
    let (capacities, [_, resources]) = matrix(capacities, "capacities")?;
    let capacities = core::Capacities::new(capacities, resources).map_err(refuse)?;
    let shape = [trials, capacities.steps(), capacities.resources()];
    let initial_attitudes = initial_attitudes.map(read_attitudes).transpose()?;
    let experiment = core::Experiment {
        agents: n_agents,
        trials,
        first_trial,
        seed,
        observation_noise,
        careless_fraction,
        task_units,
        task_steps,
        initial_attitudes,
        allow_scarcity,
    };
    let state = core::Progress::default();
    let run = || core::simulate(&strategy.0, &capacities, &experiment, threads, &state).map_err(refuse);
    let tell = |py: Python<'_>| {
        progress.as_ref().map_or(Ok(()), |progress| progress.call1(py, (state.steps(),)).map(drop))
    };
    let loads = watched(py, run, || state.stop(), tell)?;
    PyArray1::from_vec(py, loads).reshape(shape)
}

fn read_attitudes(attitudes: &Bound<'_, PyAny>) -> PyResult<core::Attitudes> {
    let (values, shape) = tensor(attitudes, "initial_attitudes")?;
    Ok(core::Attitudes { values, shape })
}

/// N agents for one's own loop.
#[pyclass(frozen, name = "AllocationAgents", module = "safeguards._native")]
pub(crate) struct PyAgents(Shared<core::Agents>);

#[pymethods]
impl PyAgents {
    #[new]
    fn new(
        py: Python<'_>,
        strategy: &PyStrategy,
        n_agents: usize,
        n_resources: usize,
        seed: u64,
        initial_attitudes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let attitudes = initial_attitudes.map(read_attitudes).transpose()?;
        let agents = core::Agents::new(&strategy.0, n_agents, n_resources, seed, attitudes.as_ref());
        Shared::new(py, agents.map_err(refuse)?).map(Self)
    }

    /// Opens a step; each agent's resource as a uint16 array.
    fn choose<'py>(
        &self,
        py: Python<'py>,
        capacities: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<u16>>> {
        let capacities: Vec<f64> = column(capacities, "capacities")?;
        let choices = self.0.with(py, |agents| agents.choose(&capacities).map(<[u16]>::to_vec))?;
        Ok(PyArray1::from_vec(py, choices.map_err(refuse)?))
    }

    /// Closes the step.
    fn update(
        &self,
        py: Python<'_>,
        overloaded: &Bound<'_, PyAny>,
        loads: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let overloaded = flags(overloaded, "overloaded")?;
        let loads: Option<Vec<i64>> = loads.map(|loads| column(loads, "loads")).transpose()?;
        self.0.with(py, |agents| agents.update(&overloaded, loads.as_deref()))?.map_err(refuse)
    }

    /// Steps begun.
    #[getter]
    fn step(&self, py: Python<'_>) -> PyResult<u32> {
        self.0.with(py, |agents| agents.step())
    }
}

/// The live selector; resources are numbers here.
#[pyclass(frozen, name = "AllocationSelector", module = "safeguards._native")]
pub(crate) struct PySelector {
    selector: core::Selector,
    gate: Gate,
}

#[pymethods]
impl PySelector {
    #[new]
    fn new(
        py: Python<'_>,
        strategy: &PyStrategy,
        n_resources: usize,
        max_agents: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let selector = core::Selector::new(&strategy.0, n_resources, max_agents, seed).map_err(refuse)?;
        Ok(Self { selector, gate: Gate::new(py)? })
    }

    /// The agent's resource in this step.
    fn choose(&self, #[pyo3(from_py_with = text::agent_id)] agent_id: &str) -> PyResult<u16> {
        let _inside = self.gate.enter()?;
        self.selector.choose(agent_id).map_err(refuse)
    }

    /// What became of the agent's last choice; whether it was noted.
    fn report(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        resource: u16,
        overloaded: bool,
    ) -> PyResult<bool> {
        let _inside = self.gate.enter()?;
        self.selector.report(agent_id, resource, overloaded).ok_or_else(|| unknown(py, agent_id))
    }

    /// What is known of a capacity from now on.
    fn observe_capacity(&self, resource: usize, capacity: f64) -> PyResult<()> {
        let _inside = self.gate.enter()?;
        self.selector.observe_capacity(resource, capacity).map_err(refuse)
    }

    /// Ends the step and returns its loads as an int64 array.
    fn advance<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let _inside = self.gate.enter()?;
        Ok(PyArray1::from_vec(py, py.detach(|| self.selector.advance())))
    }

    /// Makes room for another agent.
    fn forget(&self, py: Python<'_>, #[pyo3(from_py_with = text::agent_id)] agent_id: &str) -> PyResult<()> {
        let _inside = self.gate.enter()?;
        if self.selector.forget(agent_id) { Ok(()) } else { Err(unknown(py, agent_id)) }
    }

    /// Agents known.
    #[getter]
    fn n_agents(&self) -> PyResult<usize> {
        let _inside = self.gate.enter()?;
        Ok(self.selector.agents())
    }

    /// The step that is open, from 1.
    #[getter]
    fn step(&self) -> PyResult<u32> {
        let _inside = self.gate.enter()?;
        Ok(self.selector.step())
    }

    /// About how many bytes an agent takes, without its name.
    #[getter]
    const fn bytes_per_agent(&self) -> usize {
        self.selector.bytes_per_agent()
    }
}

fn unknown(py: Python<'_>, agent: &str) -> PyErr {
    let fields = PyDict::new(py);
    let message = format!("agent {} has not chosen a resource yet: call choose first", quoted(agent));
    match fields.set_item("account", agent) {
        Ok(()) => exception(py, "UnknownAgentError", message, &fields),
        Err(error) => error,
    }
}
