//! One population for one's own loop: `choose`, look at what happened, `update`.

use super::board::Board;
use super::capacity::check_row;
use super::draws::Draws;
use super::strategy::{NONE, Population, Setup, Strategy};
use super::{AllocationError, Attitudes, check_memory};

/// N agents that follow one strategy.
pub struct Agents {
    board: Board,
    population: Box<dyn Population>,
    choices: Vec<u16>,
    counts: Vec<i64>,
    /// Which resources were overloaded in the step that was just closed.
    overloaded: Option<Vec<bool>>,
    chosen: bool,
}

impl Agents {
    /// Makes the agents. Attitudes are of shape (N, Q), or (N,) if each agent has a single one.
    pub fn new(
        strategy: &Strategy,
        agents: usize,
        resources: usize,
        seed: u64,
        initial_attitudes: Option<&Attitudes>,
    ) -> Result<Self, AllocationError> {
        // Capacities of one step check the number of resources as any others would.
        super::Capacities::new(vec![1.0; resources], resources)?;
        strategy.check(resources)?;
        #[expect(clippy::cast_precision_loss, reason = "compared with a range")]
        super::check_range("n_agents", "from 1 to 4,294,967,295", agents as f64, 1.0, 4_294_967_295.0)?;
        let per_agent = strategy.attitudes(resources);
        if let Some(attitudes) = initial_attitudes {
            let shape = if per_agent == resources { vec![agents, resources] } else { vec![agents] };
            attitudes.check(per_agent, &[shape])?;
        }
        check_memory("the agents", agents as u128 * strategy.bytes_per_agent(resources) as u128)?;
        let everybody = 0..agents;
        let setup = Setup {
            agents,
            resources,
            task_steps: 1,
            draws: Draws::new(seed, 0),
            initial_attitudes: initial_attitudes.map(|a| &a.values[..]),
            cohorts: std::slice::from_ref(&everybody),
        };
        Ok(Self {
            board: Board::new(resources),
            population: strategy.populate(&setup),
            choices: vec![NONE; agents],
            counts: vec![0; resources],
            overloaded: None,
            chosen: false,
        })
    }

    /// Opens a step: every agent chooses. Capacities are those of this step; a strategy reads them while the
    /// paper does (steps 1 and 2) and remembers them for later.
    pub fn choose(&mut self, capacities: &[f64]) -> Result<&[u16], AllocationError> {
        if self.chosen {
            return Err(AllocationError::OutOfTurn("choose was called twice: call update to end the step"));
        }
        self.check_length("capacities", capacities.len())?;
        check_row(capacities, self.board.step() as usize + 1)?;
        self.board.begin();
        self.board.publish(capacities.iter().copied());
        self.population.plan(&self.board, &self.choices);
        self.counts.fill(0);
        let everybody = 0..self.choices.len();
        self.population.choose(everybody, self.overloaded.as_deref(), &mut self.choices, &mut self.counts);
        self.chosen = true;
        Ok(&self.choices)
    }

    /// Closes the step: which resources were overloaded, and their loads if others share them.
    pub fn update(&mut self, overloaded: &[bool], loads: Option<&[i64]>) -> Result<(), AllocationError> {
        if !self.chosen {
            return Err(AllocationError::OutOfTurn(
                "update was called before choose: there is no step to end",
            ));
        }
        self.check_length("overloaded", overloaded.len())?;
        if let Some(loads) = loads {
            self.check_length("loads", loads.len())?;
            if let Some(&load) = loads.iter().find(|&&load| load < 0) {
                let (name, range) = ("loads", "not negative");
                #[expect(clippy::cast_precision_loss, reason = "for a message")]
                return Err(AllocationError::OutOfRange { name, range, value: load as f64 });
            }
        }
        self.board.close(loads.unwrap_or(&self.counts), overloaded);
        self.overloaded = Some(overloaded.to_vec());
        self.chosen = false;
        Ok(())
    }

    /// Steps begun.
    #[must_use]
    pub const fn step(&self) -> u32 {
        self.board.step()
    }

    fn check_length(&self, name: &'static str, given: usize) -> Result<(), AllocationError> {
        let expected = self.board.resources();
        if given == expected {
            return Ok(());
        }
        Err(AllocationError::Shape { name, expected: format!("({expected},)"), given: format!("({given},)") })
    }
}
