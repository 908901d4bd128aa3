//! Looking without touching.

use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDict, PyTuple};
use safeguards_core::ledger::{Kind, Ledger};

use super::PyLedger;
use crate::amount::grant;
use crate::arguments::{datetime, flag, optional_text, text};
use crate::clock::from_datetime;
use crate::patience::{at_length, patiently, until_interrupted};
use crate::reports;

#[pymethods]
impl PyLedger {
    /// An agent's priority, 1 to 10.
    ///
    /// Raises:
    ///     UnknownAgentError: no agent of this id is registered.
    ///
    /// Example:
    ///     >>> coordinator.get_agent_priority("bot")
    ///     5
    fn get_agent_priority(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<u8> {
        let core = self.core(py)?;
        let snapshot = patiently(py, core, || core.with_agent(agent_id, |agent| core.snapshot(agent)));
        Ok(self.answer(py, snapshot)?.priority)
    }

    /// Ids of the agents right below a pool, sorted.
    ///
    /// Raises:
    ///     UnknownPoolError: no pool of this id exists.
    ///
    /// Example:
    ///     >>> coordinator.get_pool_agents("team")
    ///     ['bot']
    fn get_pool_agents(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.answer(py, self.ask(py, |core| core.members(pool_id, Kind::Agent))?)?))
    }

    /// Ids of all agents, in no order that means anything.
    ///
    /// Example:
    ///     >>> coordinator.get_all_agent_ids()
    ///     ['bot']
    fn get_all_agent_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.ask(py, Ledger::agent_ids)?))
    }

    /// Ids of all pools, sorted.
    ///
    /// Example:
    ///     >>> coordinator.get_pool_ids()
    ///     ['team']
    fn get_pool_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.ask(py, Ledger::pool_ids)?))
    }

    fn _has_pool(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<bool> {
        Ok(self.core(py)?.has_pool(pool_id))
    }

    fn _pin(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
        #[pyo3(from_py_with = flag::is_pinned)] is_pinned: bool,
    ) -> PyResult<()> {
        self.answer(py, self.ask(py, |core| core.pin(account_id, is_pinned))?)
    }

    fn _is_pinned(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::account_id)] account_id: &str,
    ) -> PyResult<bool> {
        Ok(self.core(py)?.is_pinned(account_id))
    }

    fn _pinned(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(reports::strings(self.core(py)?.pinned()))
    }

    fn _agents_below(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<usize> {
        self.answer(py, self.ask(py, |core| core.agents_below(pool_id))?)
    }

    fn _pool_refusals(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<u64> {
        self.answer(py, self.ask(py, |core| core.refusals(pool_id))?)
    }

    fn _pool_renewal<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let renewal = self.answer(py, self.ask(py, |core| core.renewal(pool_id))?)?;
        renewal.map(|renewal| reports::renewal(py, &renewal)).transpose()
    }

    /// is_pool, account, asked_by, operation_type, reason, count
    fn _refusals<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = optional_text::account_id)] account_id: Option<&str>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let counts = self.answer(py, at_length(py, core, || core.refusal_counts(account_id)))?;
        counts.iter().map(|count| reports::refusal_count(py, core, count)).collect()
    }

    /// The books of all accounts, as columns by name.
    fn _columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::columns(py, at_length(py, core, || core.columns()))
    }

    fn _pool_info<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        reports::pool_info(py, &self.answer(py, self.ask(py, |core| core.pool_info(pool_id))?)?)
    }

    fn _agent_info<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        reports::agent_info(py, &self.answer(py, self.ask(py, |core| core.agent_info(agent_id))?)?)
    }

    fn _watch_low(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
        low: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let low = low.map(|low| grant(low, "low")).transpose()?;
        let core = self.core(py)?;
        self.answer(py, at_length(py, core, || core.watch_low(pool_id, low)))
    }

    fn _agent_snapshot<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let core = self.core(py)?;
        reports::snapshot(
            py,
            &self.currency,
            &self
                .answer(py, patiently(py, core, || core.with_agent(agent_id, |agent| core.metrics(agent))))?,
        )
    }

    /// spent, remaining, reserved, usages, refusals
    fn _agent_activity<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let core = self.core(py)?;
        reports::activity(
            py,
            &self.answer(
                py,
                patiently(py, core, || core.with_agent(agent_id, |agent| core.activity(agent))),
            )?,
        )
    }

    fn _pool_snapshot<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let core = self.core(py)?;
        reports::snapshot(
            py,
            &self.currency,
            &self.answer(
                py,
                patiently(py, core, || core.pool(pool_id).and_then(|pool| core.metrics(&pool))),
            )?,
        )
    }

    fn _usage<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
        #[pyo3(from_py_with = datetime::start_time)] start_time: Bound<'py, PyDateTime>,
        #[pyo3(from_py_with = datetime::end_time)] end_time: Bound<'py, PyDateTime>,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (core, start, end) = (self.core(py)?, from_datetime(&start_time)?, from_datetime(&end_time)?);
        let usage = self.answer(
            py,
            patiently(py, core, || core.with_agent(agent_id, |agent| core.usage(agent, start, end))),
        )?;
        usage.iter().map(|usage| reports::usage(py, core, usage)).collect()
    }

    fn _agent_events<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::agent_id)] agent_id: &str,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let events = self.answer(
            py,
            patiently(py, core, || core.with_agent(agent_id, |agent| core.events_with_notes(agent))),
        )?;
        events.iter().map(|event| reports::event(py, core, event)).collect()
    }

    fn _pool_events<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = text::pool_id)] pool_id: &str,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let core = self.core(py)?;
        let events = self.answer(
            py,
            patiently(py, core, || core.pool(pool_id).and_then(|pool| core.events_with_notes(&pool))),
        )?;
        events.iter().map(|event| reports::event(py, core, event)).collect()
    }

    fn _violations(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        let core = self.core(py)?;
        let (violations, interrupt) =
            until_interrupted(py, core, |signals| core.verify_while(|| signals.may()));
        interrupt.map_or(Ok(()), Err)?;
        Ok(violations.into_iter().map(|found| (found.account.to_string(), found.text)).collect())
    }
}
