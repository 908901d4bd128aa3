//! The split of a budget by cost and benefit, for Python.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use safeguards_core::amount::Units;
use safeguards_core::portfolio::{PortfolioError, Segment, Split, Terms, split};

use crate::amount::to_decimal;
use crate::error::{configuration_error, exception};

/// Amounts of the agents, units of the operations, units that are left over, and the price of the last unit.
type Answer<'py> = (Vec<Bound<'py, PyAny>>, Vec<Bound<'py, PyAny>>, i128, Option<f64>);

/// Returns whose squares are floats by far.
const LARGEST: f64 = 1e60;

/// Splits a total among agents; what `CostBenefitAllocator` is made of.
///
/// Operations are parallel lists: the index of the agent, the expected return of a unit of money, its
/// standard deviation, the most units that can be used.
///
/// Returns:
///     The amount of each agent; of each operation, in units of 1e-9; the units that are left over; and what
///     one more unit of the total would be worth.
///
/// Raises:
///     InfeasibleAllocationError: the floors cannot be kept.
///     ConfigurationError: the lists do not belong together.
#[pyfunction]
#[pyo3(signature = (agent_ids, agents, expected, deviations, caps, *, total, floor, tolerance))]
#[expect(clippy::too_many_arguments, reason = "parallel lists, and three keywords")]
pub(crate) fn split_budget<'py>(
    py: Python<'py>,
    agent_ids: &Bound<'py, PyList>,
    agents: Vec<usize>,
    expected: Vec<f64>,
    deviations: Vec<f64>,
    caps: Vec<Option<i128>>,
    total: i128,
    floor: i128,
    tolerance: f64,
) -> PyResult<Answer<'py>> {
    let lengths = [expected.len(), deviations.len(), caps.len()];
    let is_sound = lengths == [agents.len(); 3]
        && agents.iter().all(|&agent| agent < agent_ids.len())
        && caps.iter().flatten().chain([&total, &floor]).all(|&units| units >= 0)
        && expected.iter().chain(&deviations).all(|figure| (0.0..=LARGEST).contains(figure))
        && (0.0..=1.0).contains(&tolerance);
    if !is_sound {
        return Err(configuration_error(
            py,
            "operations must be lists of one length, of agents that are listed, and no figure below 0 or too large",
        ));
    }
    let segments: Vec<Segment> = agents
        .into_iter()
        .zip(expected)
        .zip(deviations)
        .zip(caps)
        .map(|(((agent, expected), deviation), cap)| Segment { agent, expected, deviation, cap })
        .collect();
    let (count, terms) = (agent_ids.len(), Terms { total, floor, tolerance });
    let Split { segments, agents, price } =
        py.detach(|| split(count, &segments, &terms)).map_err(|error| refused(agent_ids, &terms, error))?;
    let left_over = total - agents.iter().sum::<i128>();
    let amounts = agents.into_iter().map(|units| to_decimal(py, units)).collect::<PyResult<_>>()?;
    let parts = segments.into_iter().map(|units| to_int(py, units)).collect::<PyResult<_>>()?;
    Ok((amounts, parts, left_over, price))
}

/// A Python int; most fit the word that converts at once.
fn to_int(py: Python<'_>, units: i128) -> PyResult<Bound<'_, PyAny>> {
    Ok(match i64::try_from(units) {
        Ok(word) => word.into_pyobject(py)?.into_any(),
        Err(_) => units.into_pyobject(py)?.into_any(),
    })
}

fn refused(agent_ids: &Bound<'_, PyList>, terms: &Terms, error: PortfolioError) -> PyErr {
    build(agent_ids, terms, error).unwrap_or_else(|failed| failed)
}

fn build(agent_ids: &Bound<'_, PyList>, terms: &Terms, error: PortfolioError) -> PyResult<PyErr> {
    let py = agent_ids.py();
    let fields = PyDict::new(py);
    let (total, floor) = (Units(terms.total), Units(terms.floor));
    fields.set_item("limit", to_decimal(py, terms.total)?)?;
    fields.set_item("requested", to_decimal(py, terms.floor)?)?;
    let message = match error {
        PortfolioError::FloorsAboveTotal { agents } => {
            let most = terms.total / i128::try_from(agents).unwrap_or(i128::MAX).max(1);
            fields.set_item("available", to_decimal(py, most)?)?;
            format!(
                "{agents} agents cannot have at least {floor} of {total} each: set min_allocation_percentage to \
                 at most 1/{agents}"
            )
        }
        PortfolioError::FloorAboveCaps { agent, usable } => {
            let id: String = agent_ids.get_item(agent)?.extract()?;
            fields.set_item("account", &id)?;
            fields.set_item("available", to_decimal(py, usable)?)?;
            format!(
                "agent {id:?} cannot have at least {floor}: its operations use {} at most; lower \
                 min_allocation_percentage, or raise their max_volume",
                Units(usable),
            )
        }
    };
    Ok(exception(py, "InfeasibleAllocationError", message, &fields))
}
