//! Allocation for Python: strategies, simulation, a population for one's own loop, the live selector.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use numpy::{PyArray1, PyArray3, PyArrayMethods};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use safeguards_core::allocation as core;

use crate::arguments::{quoted, text};
use crate::array::{column, flags, matrix, tensor};
use crate::error::{configuration_error, exception};

/// How often a running simulation looks for Ctrl-C and tells its progress.
const WATCH_EVERY: Duration = Duration::from_millis(50);

fn refuse(error: core::AllocationError) -> PyErr {
    Python::attach(|py| configuration_error(py, error.to_string()))
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

    /// Refuses parameters that make no sense with this number of resources.
    fn check(&self, resources: usize) -> PyResult<()> {
        self.0.check(resources).map_err(refuse)
    }

    /// Bytes of state that a simulation keeps for each agent.
    fn bytes_per_agent(&self, resources: usize) -> usize {
        self.0.bytes_per_agent(resources)
    }
}

/// Runs all trials; the loads as an int64 array of shape (trials, T, Q).
#[pyfunction]
#[pyo3(signature = (strategy, capacities, *, n_agents, trials, seed, initial_attitudes, observation_noise,
    careless_fraction, task_units, task_steps, allow_scarcity, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments, one for each field of the experiment")]
pub(crate) fn simulate_allocation<'py>(
    py: Python<'py>,
    strategy: &PyStrategy,
    capacities: &Bound<'py, PyAny>,
    n_agents: usize,
    trials: usize,
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
        seed,
        observation_noise,
        careless_fraction,
        task_units,
        task_steps,
        initial_attitudes,
        allow_scarcity,
    };
    let run = |state: &_| core::simulate(&strategy.0, &capacities, &experiment, threads, state);
    let loads = py.detach(|| watched(run, progress))?;
    PyArray1::from_vec(py, loads).reshape(shape)
}

/// Runs `work` on a thread of its own, while this one looks for signals and calls `report(steps_done)`. An
/// exception of either stops the work and is raised.
fn watched<T: Send>(
    work: impl FnOnce(&core::Progress) -> Result<T, core::AllocationError> + Send,
    report: Option<Py<PyAny>>,
) -> PyResult<T> {
    let state = core::Progress::default();
    let tell = |py: Python<'_>| -> PyResult<()> {
        py.check_signals()?;
        if let Some(report) = &report {
            report.call1(py, (state.steps(),))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let (done, finished) = channel();
        let worker = scope.spawn(|| {
            let outcome = work(&state);
            drop(done);
            outcome
        });
        let mut interrupt = Ok(());
        while finished.recv_timeout(WATCH_EVERY) == Err::<(), _>(RecvTimeoutError::Timeout) {
            interrupt = interrupt.and_then(|()| Python::attach(tell));
            if interrupt.is_err() {
                state.stop();
            }
        }
        let outcome = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        interrupt?;
        let outcome = outcome.map_err(refuse)?;
        Python::attach(tell)?;
        Ok(outcome)
    })
}

fn read_attitudes(attitudes: &Bound<'_, PyAny>) -> PyResult<core::Attitudes> {
    let (values, shape) = tensor(attitudes, "initial_attitudes")?;
    Ok(core::Attitudes { values, shape })
}

/// N agents for one's own loop.
#[pyclass(frozen, name = "AllocationAgents", module = "safeguards._native")]
pub(crate) struct PyAgents(Mutex<core::Agents>);

#[pymethods]
impl PyAgents {
    #[new]
    fn new(
        strategy: &PyStrategy,
        n_agents: usize,
        n_resources: usize,
        seed: u64,
        initial_attitudes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let attitudes = initial_attitudes.map(read_attitudes).transpose()?;
        let agents = core::Agents::new(&strategy.0, n_agents, n_resources, seed, attitudes.as_ref());
        Ok(Self(Mutex::new(agents.map_err(refuse)?)))
    }

    /// Opens a step; each agent's resource as a uint16 array.
    fn choose<'py>(
        &self,
        py: Python<'py>,
        capacities: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<u16>>> {
        let capacities: Vec<f64> = column(capacities, "capacities")?;
        let choices = py.detach(|| self.0.lock().choose(&capacities).map(<[u16]>::to_vec));
        Ok(PyArray1::from_vec(py, choices.map_err(refuse)?))
    }

    /// Closes the step.
    fn update(&self, overloaded: &Bound<'_, PyAny>, loads: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let overloaded = flags(overloaded, "overloaded")?;
        let loads: Option<Vec<i64>> = loads.map(|loads| column(loads, "loads")).transpose()?;
        self.0.lock().update(&overloaded, loads.as_deref()).map_err(refuse)
    }

    /// Steps begun.
    #[getter]
    fn step(&self) -> u32 {
        self.0.lock().step()
    }
}

/// The live selector; resources are numbers here.
#[pyclass(frozen, name = "AllocationSelector", module = "safeguards._native")]
pub(crate) struct PySelector(core::Selector);

#[pymethods]
impl PySelector {
    #[new]
    fn new(strategy: &PyStrategy, n_resources: usize, max_agents: usize, seed: u64) -> PyResult<Self> {
        core::Selector::new(&strategy.0, n_resources, max_agents, seed).map(Self).map_err(refuse)
    }

    /// The agent's resource in this step.
    fn choose(&self, #[pyo3(from_py_with = text)] agent_id: &str) -> PyResult<u16> {
        self.0.choose(agent_id).map_err(refuse)
    }

    /// What became of the agent's last choice; whether it was noted.
    fn report(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] agent_id: &str,
        resource: u16,
        overloaded: bool,
    ) -> PyResult<bool> {
        self.0.report(agent_id, resource, overloaded).ok_or_else(|| unknown(py, agent_id))
    }

    /// What is known of a capacity from now on.
    fn observe_capacity(&self, resource: usize, capacity: f64) -> PyResult<()> {
        self.0.observe_capacity(resource, capacity).map_err(refuse)
    }

    /// Ends the step and returns its loads as an int64 array.
    fn advance<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_vec(py, py.detach(|| self.0.advance()))
    }

    /// Makes room for another agent.
    fn forget(&self, py: Python<'_>, #[pyo3(from_py_with = text)] agent_id: &str) -> PyResult<()> {
        if self.0.forget(agent_id) { Ok(()) } else { Err(unknown(py, agent_id)) }
    }

    /// Agents known.
    #[getter]
    fn n_agents(&self) -> usize {
        self.0.agents()
    }

    /// The step that is open, from 1.
    #[getter]
    fn step(&self) -> u32 {
        self.0.step()
    }

    /// About how many bytes an agent takes, without its name.
    #[getter]
    const fn bytes_per_agent(&self) -> usize {
        self.0.bytes_per_agent()
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
