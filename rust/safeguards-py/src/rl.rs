//! Learnt budgets for Python: the table of values, and what hindsight would have reached.

use numpy::{PyArray1, PyArray2, PyArray4, PyArrayMethods};
use pyo3::prelude::*;
use safeguards_core::rl as core;
use safeguards_core::workers::Stop;

use crate::array::{column, matrix, tensor};
use crate::error::{configuration_error, no_thread};
use crate::fork::Shared;
use crate::watched::watched;

fn refuse(error: core::RlError) -> PyErr {
    let text = error.to_string();
    Python::attach(|py| match error {
        core::RlError::Threads => no_thread(py, &text),
        _ => configuration_error(py, text),
    })
}

type Array<'py> = Bound<'py, PyAny>;
type Places<'py> = (Array<'py>, Array<'py>, Array<'py>);

/// What is no class is refused by the core.
fn class(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn same_length(name: &'static str, expected: usize, given: usize) -> PyResult<()> {
    if given == expected { Ok(()) } else { Err(refuse(core::RlError::Length { name, expected, given })) }
}

fn situations((classes, shares, budgets): &Places<'_>) -> PyResult<Vec<core::Situation>> {
    let (classes, shares) = (column(classes, "classes")?, column(shares, "shares")?);
    let budgets = column(budgets, "budgets")?;
    same_length("shares", classes.len(), shares.len())?;
    same_length("budgets", classes.len(), budgets.len())?;
    let columns = classes.into_iter().zip(shares).zip(budgets);
    let situation = |((number, share), budget)| core::Situation { class: class(number), share, budget };
    Ok(columns.map(situation).collect())
}

/// The value of each action in each situation: a class, and a place on each of two axes.
///
/// Between the nodes of the axes values are interpolated; beyond the ends they are those of the end.
/// Situations are three arrays: classes (int64), places on the axis of shares and on that of budgets.
/// `safeguards.budget.rl_optimizer` learns with it.
///
/// Args:
///     classes: how many.
///     shares: nodes of the first axis, at least 2, rising.
///     budgets: nodes of the second axis, at least 2, rising.
///     actions: how many.
///     values: of shape (classes, shares, budgets, actions); zeros if not given.
///
/// Raises:
///     ConfigurationError: a size below its least, or a shape that is not the one above.
///
/// Example:
///     >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0, 2.0]), 3)
///     >>> table.values.shape
///     (1, 2, 3, 3)
#[pyclass(frozen, name = "QTable", module = "safeguards._native")]
pub(crate) struct PyQTable(Shared<core::QTable>);

#[pymethods]
impl PyQTable {
    #[new]
    #[pyo3(signature = (classes, shares, budgets, actions, values = None))]
    fn new(
        py: Python<'_>,
        classes: usize,
        shares: &Array<'_>,
        budgets: &Array<'_>,
        actions: usize,
        values: Option<&Array<'_>>,
    ) -> PyResult<Self> {
        let shares = core::Axis::new("shares", column(shares, "shares")?).map_err(refuse)?;
        let budgets = core::Axis::new("budgets", column(budgets, "budgets")?).map_err(refuse)?;
        let table = core::QTable::new(classes, shares, budgets, actions).map_err(refuse)?;
        let table = match values {
            Some(values) => table.with_values(tensor(values, "values")?.0).map_err(refuse)?,
            None => table,
        };
        Shared::new(py, table).map(Self)
    }

    /// A copy of the values, of shape (classes, shares, budgets, actions).
    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray4<f64>>> {
        let (values, shape) = self.0.with(py, |table| (table.values().to_vec(), table.shape()))?;
        PyArray1::from_vec(py, values).reshape(shape)
    }

    /// The number of the best action in each situation; of equal ones the one nearest to the middle.
    ///
    /// Raises:
    ///     ConfigurationError: lengths that differ, a class that is none, or a place that is not finite.
    ///
    /// Example:
    ///     >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 3)
    ///     >>> table.best((np.array([0, 0]), np.array([0.5, 0.1]), np.array([0.0, 9.0])))
    ///     array([1, 1])
    fn best<'py>(&self, py: Python<'py>, at: Places<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let at = situations(&at)?;
        let best = self.0.with(py, |table| table.best(&at))?.map_err(refuse)?;
        Ok(PyArray1::from_iter(py, best.into_iter().map(usize::cast_signed).map(|action| action as i64)))
    }

    /// Learns from what every action does in n situations; what it knew before is forgotten.
    ///
    /// It is fitted Q-iteration (Ernst, Geurts & Wehenkel, 2005).
    ///
    /// Args:
    ///     at: the situations.
    ///     rewards: of shape (n, actions).
    ///     to_classes: the class that follows, whatever is done.
    ///     to_shares: the place on the axis of shares that follows, whatever is done.
    ///     to_budgets: the place on the axis of budgets that follows, of shape (n, actions).
    ///     discount: what the next step's reward is worth, from 0 to below 1.
    ///     sweeps: at most so many; it ends when no value moves any more.
    ///
    /// Returns:
    ///     The number of sweeps.
    ///
    /// Raises:
    ///     ConfigurationError: lengths that differ, or values that are not finite. Nothing was forgotten.
    ///     ThreadStartError: the system started no thread. As with Ctrl-C, nothing was forgotten.
    ///
    /// Example:
    ///     >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 2)
    ///     >>> here, zero = np.zeros(1), np.zeros(1, np.int64)
    ///     >>> rewards, stay = np.array([[1.0, 3.0]]), np.zeros((1, 2))
    ///     >>> _ = table.fit((zero, here, here), rewards, zero, here, stay, 0.5, 100)
    ///     >>> table.values[0, 0, 0].round(2)  # 3 at each step from now on is worth 3 + 3/2 + 3/4 ...
    ///     array([4., 6.])
    #[expect(clippy::too_many_arguments, reason = "arrays, one for each part of a transition")]
    fn fit<'py>(
        &self,
        py: Python<'py>,
        at: Places<'py>,
        rewards: &Array<'py>,
        to_classes: &Array<'py>,
        to_shares: &Array<'py>,
        to_budgets: &Array<'py>,
        discount: f64,
        sweeps: usize,
    ) -> PyResult<usize> {
        let from = situations(&at)?;
        let (to_classes, to_shares) = (column(to_classes, "to_classes")?, column(to_shares, "to_shares")?);
        same_length("to_shares", to_classes.len(), to_shares.len())?;
        let to: Vec<(usize, f64)> = to_classes.into_iter().map(class).zip(to_shares).collect();
        let (rewards, to_budgets) = (matrix(rewards, "rewards")?.0, matrix(to_budgets, "to_budgets")?.0);
        let transitions =
            core::Transitions { from: &from, rewards: &rewards, to: &to, to_budgets: &to_budgets };
        // On a copy: whoever reads the table meanwhile, such as a signal handler, need not wait.
        let mut fitted = self.0.with(py, |table| table.clone())?;
        let stop = Stop::default();
        let run = || fitted.fit(&transitions, discount, sweeps, &stop).map_err(refuse);
        let done = watched(py, run, || stop.ask(), |_| Ok(()))?;
        self.0.with(py, |table| *table = fitted)?;
        Ok(done)
    }

    /// Learns from single steps, one after the other (Watkins & Dayan 1992).
    ///
    /// Args:
    ///     at: the situations.
    ///     actions: what was done.
    ///     rewards: what it was worth.
    ///     to: the situations that followed.
    ///     learning_rate: how far a value moves towards what was seen.
    ///     discount: what the next step's reward is worth.
    ///
    /// Raises:
    ///     ConfigurationError: lengths that differ, or values that make no sense. Nothing was learnt.
    ///
    /// Example:
    ///     >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 2)
    ///     >>> here = (np.zeros(1, np.int64), np.zeros(1), np.zeros(1))
    ///     >>> table.update(here, np.array([1]), np.array([3.0]), here, 0.1, 0.9)
    ///     >>> table.values[0, 0, 0].round(2)
    ///     array([0. , 0.3])
    #[expect(clippy::too_many_arguments, reason = "arrays, one for each part of a step")]
    fn update<'py>(
        &self,
        py: Python<'py>,
        at: Places<'py>,
        actions: &Array<'py>,
        rewards: &Array<'py>,
        to: Places<'py>,
        learning_rate: f64,
        discount: f64,
    ) -> PyResult<()> {
        let (from, to) = (situations(&at)?, situations(&to)?);
        let (actions, rewards) = (column(actions, "actions")?, column(rewards, "rewards")?);
        same_length("actions", from.len(), actions.len())?;
        same_length("rewards", from.len(), rewards.len())?;
        same_length("to", from.len(), to.len())?;
        let acts = actions.into_iter().zip(rewards);
        let steps: Vec<core::Step> = from
            .into_iter()
            .zip(acts)
            .zip(to)
            .map(|((from, (action, reward)), to)| core::Step { from, action: class(action), reward, to })
            .collect();
        self.0.with(py, |table| table.update(&steps, learning_rate, discount))?.map_err(refuse)
    }

    /// A table with the same values, which learns on its own.
    ///
    /// Example:
    ///     >>> table = QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 2)
    ///     >>> np.array_equal(table.copy().values, table.values)
    ///     True
    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        Shared::new(py, self.0.with(py, |table| table.clone())?).map(Self)
    }
}

/// The best budgets in hindsight: dynamic programming over a grid of budgets, with all demand known.
///
/// Args:
///     demand: of shape (agents, steps), known in full.
///     tasks: how many tasks each demand stands for, of the same shape.
///     start: each agent's budget before the first step; of the levels, the nearest is taken.
///     levels: the budgets there are, above 0, rising.
///     max_change: the most that a budget changes at a time, as a share of it.
///     rewards: for the share of the budget that is used, for demand above the budget, for each task, for
///         each unit of change.
///
/// Returns:
///     The budget of each agent in each step, of the shape of `demand`.
///
/// Raises:
///     ConfigurationError: shapes that differ, levels that do not rise, or a value that is no finite number.
///     ThreadStartError: the system started no thread.
///
/// Example:
///     >>> demand = np.array([[1.0, 1.0, 2.0]])
///     >>> levels = np.array([1.0, 1.3, 1.69, 2.0])
///     >>> best_budgets(demand, demand, np.array([1.0]), levels, 0.3, (50.0, -100.0, 10.0, -0.1))
///     array([[1.3 , 1.69, 2.  ]])
#[pyfunction]
pub(crate) fn best_budgets<'py>(
    py: Python<'py>,
    demand: &Array<'py>,
    tasks: &Array<'py>,
    start: &Array<'py>,
    levels: &Array<'py>,
    max_change: f64,
    rewards: (f64, f64, f64, f64),
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (demand, shape) = matrix(demand, "demand")?;
    let (tasks, _) = matrix(tasks, "tasks")?;
    let start: Vec<f64> = column(start, "start")?;
    same_length("start", shape[0], start.len())?;
    let (utilization, exhaustion, task, change) = rewards;
    let rewards = core::Rewards { utilization, exhaustion, task, change };
    let solver = core::Clairvoyant::new(column(levels, "levels")?, max_change, rewards).map_err(refuse)?;
    let stop = Stop::default();
    let run = || solver.solve(&demand, &tasks, &start, &stop).map_err(refuse);
    let budgets = watched(py, run, || stop.ask(), |_| Ok(()))?;
    PyArray1::from_vec(py, budgets).reshape(shape)
}
