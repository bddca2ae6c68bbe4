//! Taking turns: every target keeps its network open, runs a few times, and waits for the others.

use super::latency::{Bench, Latency, Ratio};
use crate::engine::{EngineSession, Execution, Outcome, Request, Runs, same_bytes};

/// A quick target's turn lasts this many seconds, because other work may disturb all of only a few runs.
const SHORTEST_TURN: f64 = 0.25;
/// The most runs in a turn: further runs add no information, even if the runs are quick.
const MOST_RUNS: usize = 200;

/// The least number of runs, in total and in one turn: quick targets run more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnPlan {
    /// Timed runs of each target.
    pub iterations: usize,
    /// Timed runs of one turn.
    pub turn: usize,
}

/// One target in the round.
pub struct BenchLane<'s> {
    session: Box<dyn EngineSession + 's>,
    request: Request<'s>,
    /// The execution of opening and warm-up; later the execution of the turn that failed.
    execution: Execution,
    /// Seconds of the timed runs, turn by turn.
    turns: Vec<Vec<f64>>,
    /// Whether the user interrupted the target.
    is_over: bool,
}

impl<'s> BenchLane<'s> {
    /// Opens the network, and warms it up with as many runs as the request says.
    pub fn open(mut session: Box<dyn EngineSession + 's>, request: Request<'s>) -> Self {
        let execution = session.execute(&request);
        BenchLane { session, request, execution, turns: Vec::new(), is_over: false }
    }

    fn is_running(&self) -> bool {
        self.execution.outcome == Outcome::Completed && !self.is_over
    }

    /// Takes one turn of at least `least` timed runs. An untimed run comes first, because the caches still
    /// contain the data of the previous target.
    fn take(&mut self, least: usize) {
        let timed = self.runs_in_a_turn().max(least);
        let execution = self.session.again(&Request { repeats: timed + 1, ..self.request });
        if execution.outcome == Outcome::Interrupted {
            // The earlier turns stay valid; there are only fewer of them.
            self.is_over = true;
            return;
        }
        if execution.outcome != Outcome::Completed {
            // The times of a target that fails cannot be trusted.
            self.execution = execution;
            self.turns.clear();
            return;
        }
        let same = same_bytes(&self.execution.outputs, &execution.outputs);
        let (Some(all), Some(turn)) = (&mut self.execution.runs, execution.runs) else { return };
        all.identical &= same && turn.identical;
        all.repeats += turn.repeats;
        self.turns.push(turn.seconds.into_iter().skip(1).collect());
    }

    /// The number of runs that fill the shortest turn, estimated from the shortest run so far.
    fn runs_in_a_turn(&self) -> usize {
        let warm = self.execution.runs.iter().flat_map(|runs| &runs.seconds);
        let shortest =
            warm.chain(self.turns.iter().flatten()).copied().fold(f64::INFINITY, f64::min);
        // The limit also applies to infinitely many runs of zero seconds.
        ((SHORTEST_TURN / shortest) as usize).min(MOST_RUNS)
    }

    /// All turns as one execution, with the times compared to a second lane's times.
    fn finish(self, to: Option<&[Vec<f64>]>) -> (Execution, Option<Bench>) {
        let seconds = self.turns.concat();
        let ratio = to.and_then(|to| Ratio::of(&self.turns, to));
        let bench = self.execution.runs.as_ref().and_then(|runs| {
            Some(Bench { first_result: first_result(runs), latency: Latency::of(&seconds)?, ratio })
        });
        let mut execution = self.execution;
        if let Some(runs) = &mut execution.runs {
            runs.seconds = seconds;
        }
        (execution, bench)
    }
}

/// Each lane as one execution with its times; ratios are to the first lane with times.
pub fn finish(lanes: Vec<BenchLane<'_>>) -> Vec<(Execution, Option<Bench>)> {
    let first = lanes.iter().position(|lane| !lane.turns.is_empty());
    let base = first.map(|first| lanes[first].turns.clone());
    let others = |at: usize| base.as_deref().filter(|_| Some(at) != first);
    lanes.into_iter().enumerate().map(|(at, lane)| lane.finish(others(at))).collect()
}

fn first_result(runs: &Runs) -> f64 {
    runs.open_seconds + runs.seconds.first().copied().unwrap_or(0.0)
}

/// Times every lane that opened. Each round begins with a different lane, so no lane always follows the
/// same one. `announce` gets the lane, the number of rounds done, and the number of all rounds.
pub fn take_turns(
    lanes: &mut [BenchLane<'_>],
    plan: TurnPlan,
    announce: &mut dyn FnMut(usize, usize, usize),
) {
    let rounds = plan.iterations.div_ceil(plan.turn);
    for round in 0..rounds {
        let least = plan.turn.min(plan.iterations - round * plan.turn);
        for step in 0..lanes.len() {
            let at = (round + step) % lanes.len();
            if lanes[at].is_running() {
                announce(at, round, rounds);
                lanes[at].take(least);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Output, RanOn};
    use crate::graph::Network;
    use crate::tensor::{Dtype::F32, Tensor};
    use std::cell::RefCell;
    use std::time::Duration;

    /// Returns the same number at each run, until the run of its change or of its crash.
    struct Fake<'l> {
        name: char,
        log: &'l RefCell<String>,
        takes: f64,
        runs: usize,
        dies_at: usize,
        changes_at: usize,
    }

    impl EngineSession for Fake<'_> {
        fn execute(&mut self, request: &Request<'_>) -> Execution {
            self.log.borrow_mut().push(self.name);
            self.runs += request.repeats;
            if self.runs >= self.dies_at {
                return Execution::without_outputs(Outcome::Crashed, "it died");
            }
            let value = if self.runs >= self.changes_at { 2.0 } else { 1.0 };
            let tensor = Tensor::from_f32(&[1], vec![value]).unwrap();
            let ran_on = RanOn {
                engine: "fake".into(),
                engine_version: String::new(),
                backend: "fake".into(),
                device: String::new(),
                driver: String::new(),
                api: None,
                operators: Default::default(),
            };
            // The first run of each turn is slow.
            let mut seconds = vec![self.takes; request.repeats];
            seconds[0] = 3.0;
            let runs =
                Runs { repeats: request.repeats, identical: true, open_seconds: 2.0, seconds };
            Execution::completed(ran_on, vec![Output { name: "y".into(), tensor }], runs)
        }
    }

    const NEVER: usize = usize::MAX;

    /// The log of the order of runs, and the result of each lane.
    fn race(
        fakes: &[(f64, usize, usize)],
        plan: TurnPlan,
    ) -> (String, Vec<(Execution, Option<Bench>)>) {
        let log = RefCell::new(String::new());
        let network = Network::new("none").input("x", F32, &[1]).output("y", F32, &[1]);
        let model = network.node("n", "Identity", &["x"], &["y"], &[]).finish().unwrap();
        let request =
            Request { model: &model, feeds: &[], repeats: 2, deadline: Duration::from_secs(1) };
        let fake = |(at, &(takes, dies_at, changes_at)): (usize, &(f64, usize, usize))| {
            let name = char::from(b'a' + at as u8);
            let session = Box::new(Fake { name, log: &log, takes, runs: 0, dies_at, changes_at });
            BenchLane::open(session, request)
        };
        let mut lanes: Vec<BenchLane<'_>> = fakes.iter().enumerate().map(fake).collect();
        take_turns(&mut lanes, plan, &mut |_, _, _| ());
        let results = finish(lanes);
        (log.take(), results)
    }

    #[test]
    fn lanes_take_turns_and_the_first_run_of_each_is_not_timed() {
        let plan = TurnPlan { iterations: 5, turn: 2 };
        let (log, results) = race(&[(1.0, NEVER, NEVER), (2.0, NEVER, NEVER)], plan);
        assert_eq!(log, "ab ab ba ab".replace(' ', ""));
        for (takes, (execution, bench)) in [1.0, 2.0].into_iter().zip(&results) {
            let (bench, runs) = (bench.as_ref().unwrap(), execution.runs.as_ref().unwrap());
            assert_eq!((bench.latency.iterations, bench.latency.max), (5, takes));
            assert_eq!((bench.first_result, runs.repeats, runs.identical), (5.0, 10, true));
        }
        let ratio = |at: usize| results[at].1.as_ref().unwrap().ratio.map(|ratio| ratio.median);
        assert_eq!((ratio(0), ratio(1)), (None, Some(2.0)));
    }

    #[test]
    fn who_dies_has_no_times_and_stops_nobody() {
        let plan = TurnPlan { iterations: 6, turn: 3 };
        let (log, results) = race(&[(1.0, 5, NEVER), (1.0, NEVER, 4)], plan);
        assert_eq!(log, "ababb");
        assert_eq!((results[0].0.outcome, &results[0].1), (Outcome::Crashed, &None));
        let runs = results[1].0.runs.as_ref().unwrap();
        assert!(!runs.identical, "a later turn gave other bytes");
        assert_eq!(results[1].1.as_ref().unwrap().latency.iterations, 6);
    }

    #[test]
    fn quick_targets_run_more_often_within_reason() {
        let plan = TurnPlan { iterations: 4, turn: 2 };
        let quick = [(0.01, NEVER, NEVER), (0.0, NEVER, NEVER), (1.0, NEVER, NEVER)];
        let (_, results) = race(&quick, plan);
        let runs = results.iter().map(|(_, bench)| bench.as_ref().unwrap().latency.iterations);
        assert_eq!(runs.collect::<Vec<_>>(), [50, 2 * MOST_RUNS, 4]);
    }
}
