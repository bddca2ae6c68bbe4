//! `offby bench`: measures how long a network takes on each target, and checks the outputs.

use super::args::BenchArgs;
use super::place::read_target;
use super::prepare::Prepared;
use super::screen;
use crate::bench::{BenchLane, TurnPlan, finish, take_turns};
use crate::engine::{Engine, Target};
use crate::report::{TargetReport, bench_text, evidence_text};
use crate::session::Failure;

/// Opens every target, times them in turns and reports; returns the exit code for their outputs.
pub(super) fn bench(args: &BenchArgs) -> Result<u8, Failure> {
    let place = &args.network.place;
    let targets =
        args.on.iter().map(|text| read_target(text, place)).collect::<Result<Vec<Target>, _>>()?;
    let prepared = Prepared::new(&args.network)?;
    let request = prepared.request();

    let progress = screen::progress(args.network.output.quiet);
    progress.set_message(format!("{} (reference)", args.network.reference));
    let reference = prepared.reference()?;
    let engines: Vec<Box<dyn Engine>> =
        targets.iter().map(|target| prepared.registry.engine(target)).collect();
    let mut lanes: Vec<BenchLane<'_>> = Vec::new();
    for (engine, target) in engines.iter().zip(&targets) {
        progress.set_message(format!("{target}: opening"));
        lanes.push(BenchLane::open(engine.session(), request));
    }
    let plan = TurnPlan { iterations: args.iterations.get(), turn: args.turn.get() };
    take_turns(&mut lanes, plan, &mut |lane, round, rounds| {
        progress.set_message(format!("{}: turn {} of {rounds}", targets[lane], round + 1));
    });
    progress.finish_and_clear();

    let session = prepared.session(&reference, &targets);
    let timed = targets.iter().zip(finish(lanes));
    let reports = timed.map(|(target, (execution, bench))| {
        let report = session.judge_run(target, execution);
        TargetReport { bench, ..report }
    });
    let report = prepared.report("bench", &reference, reports.collect());
    prepared.answer(&report, || {
        let verbose = args.network.output.verbose;
        let evidence = if verbose { evidence_text(&report) } else { String::new() };
        bench_text(&report, screen::width(), verbose, screen::painter()) + &evidence
    })?;
    Ok(report.exit_code())
}
