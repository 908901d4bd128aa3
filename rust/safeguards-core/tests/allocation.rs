//! What holds for every strategy, agent and setting: tried against models that are too simple to be wrong.

#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::Strategy as _;
use safeguards_core::allocation::{
    Adaptive, Agents, AllocationError, Attitude, Attitudes, Capacities, Choice, Experiment, Galstyan,
    LamLeung, Mixed, Progress, Selector, Strategy, simulate,
};

const PAPER: Adaptive =
    Adaptive { adjusting_rate: 0.02, scaling_factor: 4.0, choice: Choice::Max, attitude: Attitude::Resource };

fn strategies() -> Vec<Strategy> {
    vec![
        Strategy::Adaptive(PAPER),
        Strategy::Adaptive(Adaptive { choice: Choice::Roulette, attitude: Attitude::Agent, ..PAPER }),
        Strategy::LamLeung(LamLeung { history: 5, increase: 0.02, decrease: 0.02 }),
        Strategy::Galstyan(Galstyan { neighbours: 2, tables: 2 }),
        Strategy::WinStay,
        Strategy::Flow,
        Strategy::Random,
        Strategy::PreviousCapacity,
    ]
}

fn run(
    strategy: &Strategy,
    rows: &[f64],
    resources: usize,
    experiment: &Experiment,
    threads: usize,
) -> Vec<i64> {
    let capacities = Capacities::new(rows.to_vec(), resources).unwrap();
    simulate(strategy, &capacities, experiment, threads, &Progress::default()).unwrap()
}

/// The paper's agents one by one, in the words of the paper. Loads, row after row.
fn paper(rows: &[f64], resources: usize, attitudes: &[f64]) -> Vec<i64> {
    let agents = attitudes.len() / resources;
    let (mut attitudes, mut hits) = (attitudes.to_vec(), vec![0; attitudes.len()]);
    let steps: Vec<&[f64]> = rows.chunks(resources).collect();
    let mut all = vec![];
    for (i, now) in steps.iter().enumerate() {
        let t = f64::from(u32::try_from(i).unwrap() + 1);
        let prediction = |r: usize| {
            if i < 2 {
                return now[r] / now.iter().sum::<f64>();
            }
            let (last, before) = (steps[i - 1], steps[i - 2]);
            ((last[r] + (last[r] - before[r])) * PAPER.scaling_factor) / last.iter().sum::<f64>()
        };
        let attractiveness = |agent: usize, r: usize| {
            let (a, n) = (attitudes[agent * resources + r], hits[agent * resources + r]);
            (1.0 - a) * (f64::from(n) / t) + a * prediction(r)
        };
        let best = |agent: usize| {
            (0..resources)
                .rev()
                .max_by(|&r, &s| attractiveness(agent, r).total_cmp(&attractiveness(agent, s)))
        };
        let choices: Vec<usize> = (0..agents).map(|agent| best(agent).unwrap()).collect();
        let mut loads = vec![0i64; resources];
        for &r in &choices {
            loads[r] += 1;
        }
        for (agent, &r) in choices.iter().enumerate() {
            let won = f64::from(i32::try_from(loads[r]).unwrap()) <= now[r];
            let attitude = &mut attitudes[agent * resources + r];
            let moved = *attitude + if won { PAPER.adjusting_rate } else { -PAPER.adjusting_rate };
            *attitude = moved.clamp(0.0, 1.0);
            hits[agent * resources + r] += i32::from(won);
        }
        all.extend(loads);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_adaptive_strategy_is_the_papers(
        (resources, rows) in (1usize..8).prop_flat_map(|q| (Just(q), prop::collection::vec(0.1..200.0f64, q * 20))),
        agents in 1usize..600,
        seed in any::<u64>(),
    ) {
        let mut state = seed;
        let attitudes: Vec<f64> = (0..agents * resources)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
            })
            .collect();
        let expected = paper(&rows, resources, &attitudes);
        let given = Attitudes { values: attitudes, shape: vec![agents, resources] };
        let experiment = Experiment {
            agents, trials: 1, allow_scarcity: true, initial_attitudes: Some(given), ..Experiment::default()
        };
        prop_assert_eq!(run(&Strategy::Adaptive(PAPER), &rows, resources, &experiment, 1), expected);
    }

    #[test]
    fn nobody_is_lost_and_threads_do_not_matter(
        (resources, rows) in (1usize..20).prop_flat_map(|q| (Just(q), prop::collection::vec(0.1..90.0f64, q * 12))),
        agents in 1usize..900,
        trials in 1usize..4,
        seed in any::<u64>(),
        careless_fraction in 0.0..=1.0f64,
        noise in prop::sample::select(vec![0.0, 0.05, 5.0]),
        task_units in 1u32..4,
        task_steps in 1u32..7,
    ) {
        let experiment = Experiment {
            agents, trials, seed, careless_fraction, task_units, task_steps,
            observation_noise: noise, allow_scarcity: true, initial_attitudes: None, first_trial: 0,
        };
        let last = Experiment { trials: 1, first_trial: trials as u64 - 1, ..experiment.clone() };
        let halves = Mixed::new(vec![(Strategy::Flow, 0.5), (Strategy::WinStay, 0.5)]);
        for strategy in strategies().into_iter().chain([Strategy::Mixed(halves)]) {
            let loads = run(&strategy, &rows, resources, &experiment, 1);
            for row in loads.chunks(resources) {
                prop_assert_eq!(row.iter().sum::<i64>(), i64::try_from(agents).unwrap() * i64::from(task_units));
                prop_assert!(row.iter().all(|&load| load >= 0));
            }
            prop_assert_eq!(&loads, &run(&strategy, &rows, resources, &experiment, 3));
            let of_last = run(&strategy, &rows, resources, &last, 1);
            prop_assert_eq!(&loads[loads.len() - of_last.len()..], &of_last);
        }
    }
}

#[test]
fn loads_settle_on_capacities_that_stand_still() {
    const STEPS: usize = 100;
    let rows = [300.0, 450.0, 250.0].repeat(STEPS);
    for strategy in [Strategy::Flow, Strategy::WinStay] {
        let loads = run(&strategy, &rows, 3, &Experiment { trials: 20, ..Experiment::default() }, 0);
        let settled = loads.chunks(3 * STEPS).flat_map(|trial| trial.chunks(3).skip(30));
        let furthest = settled.map(|row| (row[0] - 300).abs()).max();
        assert!(furthest <= Some(8), "{strategy:?} is off by {furthest:?}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let nan = Capacities::new(vec![1.0, f64::NAN], 2).map(|_| ());
    assert!(matches!(nan, Err(AllocationError::NotACapacity { step: 1, resource: 1, .. })));
    let negative = Capacities::new(vec![1.0, 1.0, 1.0, -0.5], 2).map(|_| ());
    assert_eq!(negative, Err(AllocationError::NegativeCapacity { step: 2, resource: 1, value: -0.5 }));
    assert_eq!(Capacities::new(vec![0.0], 1).map(|_| ()), Err(AllocationError::NoCapacity(1)));
    assert_eq!(Capacities::new(vec![], 0).map(|_| ()), Err(AllocationError::Resources(0)));
    assert_eq!(Capacities::new(vec![], 3).map(|_| ()), Err(AllocationError::Steps(0)));

    let capacities = Capacities::new(vec![5.0, 5.0], 2).unwrap();
    let refused = |experiment| simulate(&Strategy::Flow, &capacities, &experiment, 1, &Progress::default());
    let ten = || Experiment { agents: 10, trials: 1, ..Experiment::default() };
    assert!(refused(ten()).is_ok());
    assert!(matches!(
        refused(Experiment { agents: 11, ..ten() }),
        Err(AllocationError::Scarce { step: 1, .. })
    ));
    for (experiment, argument) in [
        (Experiment { trials: 0, ..ten() }, "trials"),
        (Experiment { agents: 0, ..ten() }, "n_agents"),
        (Experiment { observation_noise: f64::NAN, ..ten() }, "observation_noise"),
        (Experiment { careless_fraction: 2.0, ..ten() }, "careless_fraction"),
        (Experiment { task_units: 0, ..ten() }, "task_units"),
        (Experiment { task_steps: 0, ..ten() }, "task_steps"),
    ] {
        match refused(experiment) {
            Err(AllocationError::OutOfRange { name, .. }) => assert_eq!(name, argument),
            other => panic!("{argument}: {other:?}"),
        }
    }
}

#[test]
fn a_stopped_simulation_ends_and_says_so() {
    let capacities = Capacities::new(vec![500.0; 2000], 2).unwrap();
    let progress = Progress::default();
    progress.stop();
    let outcome = simulate(&Strategy::Flow, &capacities, &Experiment::default(), 2, &progress);
    assert_eq!(outcome, Err(AllocationError::Interrupted));
    assert!(progress.steps() <= 2);
}

#[test]
fn agents_of_ones_own_loop_are_those_of_the_first_trial() {
    let rows: Vec<f64> = (0..40).flat_map(|t| [300.0 + f64::from(t), 700.0 - f64::from(t)]).collect();
    for strategy in strategies() {
        let experiment = Experiment { trials: 1, seed: 3, ..Experiment::default() };
        let expected = run(&strategy, &rows, 2, &experiment, 1);
        let mut agents = Agents::new(&strategy, 1000, 2, 3, None).unwrap();
        for (row, expected) in rows.chunks(2).zip(expected.chunks(2)) {
            let choices = agents.choose(row).unwrap();
            let first = i64::try_from(choices.iter().filter(|&&r| r == 0).count()).unwrap();
            assert_eq!([first, 1000 - first], expected, "{strategy:?}");
            let overloaded: Vec<bool> =
                expected.iter().zip(row).map(|(&n, &c)| f64::from(i32::try_from(n).unwrap()) > c).collect();
            agents.update(&overloaded, None).unwrap();
        }
    }
}

#[test]
fn a_selector_counts_each_agent_once_a_step_whatever_the_threads() {
    const THREADS: usize = 4;
    const AGENTS: usize = 200;
    let selector = Arc::new(Selector::new(&Strategy::WinStay, 3, THREADS * AGENTS, 1).unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..THREADS)
        .map(|worker| {
            let (selector, done) = (Arc::clone(&selector), Arc::clone(&done));
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    for n in 0..AGENTS {
                        let agent = format!("{worker}-{n}");
                        let resource = selector.choose(&agent).unwrap();
                        assert!(resource < 3);
                        assert!(selector.report(&agent, resource, n % 2 == 0).is_some());
                    }
                }
            })
        })
        .collect();
    for step in 0..500 {
        selector.observe_capacity(step % 3, 100.0 + f64::from(u32::try_from(step).unwrap())).unwrap();
        let loads = selector.advance();
        assert!(loads.iter().sum::<i64>() <= i64::try_from(THREADS * AGENTS).unwrap(), "{loads:?}");
    }
    done.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(selector.step(), 501);
    assert!(selector.agents() <= THREADS * AGENTS);
    if selector.agents() == THREADS * AGENTS {
        assert_eq!(selector.choose("one more"), Err(AllocationError::Full(THREADS * AGENTS)));
    }
    assert!(selector.forget("0-0"));
    assert!(!selector.forget("0-0"));
}
