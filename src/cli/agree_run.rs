//! Runs a data set: the reference and every target keep the network open and run one input after the
//! other. A journal records each input before and after its run. If a driver or this command dies, the
//! known results are not lost.

use super::agree_args::AgreeRunArgs;
use super::agree_lane::{Input, Runner};
use super::agree_opened::Opened;
use super::agree_walk::walk_worst;
use super::answer::Unwritten;
use super::screen;
use crate::agree::{Agree, AgreeLane, Position, Record, RunJournal};
use crate::choice::ReferenceSource;
use crate::engine::{Engine, Output, Request};
use crate::inputs::thumbnail;
use crate::matrix::Shard;
use crate::report::Pictures;
use crate::session::Failure;
use crate::worker::interrupted;
use indicatif::ProgressBar;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How many worst inputs of each target have a picture on the page.
const MOST_PICTURES: usize = 12;

/// Runs the share's inputs; returns the result, the pictures, and a failure if journal lines could not be written.
pub(super) fn run(
    args: &AgreeRunArgs,
    shard: Shard,
) -> Result<(Agree, Pictures, Unwritten), Failure> {
    let opened = Opened::new(args)?;
    let engines: Vec<Box<dyn Engine>> =
        opened.lanes.iter().map(|(_, target)| opened.registry.engine(target)).collect();
    let mut run = Run {
        opened: &opened,
        shard,
        runners: engines.iter().map(|engine| Runner::new(engine.session())).collect(),
        lanes: opened.lanes.iter().map(|(name, _)| AgreeLane::new(name.clone())).collect(),
        journal: RunJournal::default(),
        progress: screen::steps(args.giving.output.quiet, 0),
    };
    run.take_over()?;
    run.go()?;
    let lanes = std::mem::take(&mut run.lanes);
    run.runners.clear();
    let mut agree = opened.document(lanes, shard)?.concluded();
    walk_worst(&opened, &mut agree)?;
    if !interrupted() {
        run.journal.finish();
    }
    agree.interrupted = interrupted();
    let folder = args.giving.out.as_deref().unwrap_or(Path::new("."));
    let failure = run.journal.failure().map(|error| Failure::write(folder, error));
    let pictures = match args.giving.out {
        Some(_) => pictures(&opened, &agree),
        None => Pictures::new(),
    };
    Ok((agree, pictures, failure.into_iter().collect()))
}

/// Small pictures of the worst inputs, by the input's number. An input that is no picture has none.
fn pictures(opened: &Opened<'_>, agree: &Agree) -> Pictures {
    let shown = agree.targets.iter().flat_map(|lane| lane.tally.worst.iter().take(MOST_PICTURES));
    let numbers: BTreeSet<usize> = shown.map(|worst| worst.input).collect();
    let picture = |number: usize| {
        let given = opened.inputs.read(&opened.model, number).ok()?;
        Some((number, thumbnail(&given.sample.feeds.first()?.tensor)?))
    };
    numbers.into_iter().filter_map(picture).collect()
}

/// One run in progress. Lane 0 is the reference.
struct Run<'a> {
    opened: &'a Opened<'a>,
    shard: Shard,
    runners: Vec<Runner<'a>>,
    lanes: Vec<AgreeLane>,
    journal: RunJournal,
    progress: ProgressBar,
}

impl Run<'_> {
    /// Takes over the records of an unfinished command from `--out`. Without `--out` there is no journal.
    fn take_over(&mut self) -> Result<(), Failure> {
        let Some(folder) = &self.opened.args.giving.out else { return Ok(()) };
        let path = folder.join(format!("inputs{}.jsonl", self.shard.suffix()));
        let places: BTreeMap<Option<String>, usize> =
            (0..self.lanes.len()).map(|lane| (self.position(0, lane).target, lane)).collect();
        let (lanes, runners) = (&mut self.lanes, &mut self.runners);
        let mut absorb = |record: Record| {
            if let Some(&lane) = places.get(&record.target) {
                runners[lane].remember(&record);
                lanes[lane].tally.absorb(&record);
            }
        };
        let key = self.opened.key(self.shard)?;
        let journal = RunJournal::open(&path, &key, &mut absorb);
        self.journal = journal.map_err(|error| Failure::write(&path, error))?;
        Ok(())
    }

    fn position(&self, input: usize, lane: usize) -> Position {
        let target = (lane > 0).then(|| self.opened.lanes[lane].0.clone());
        Position { input, target }
    }

    /// Runs every remaining input, in order.
    fn go(&mut self) -> Result<(), Failure> {
        let (shard, count) = (self.shard, self.opened.inputs.len());
        let inputs = (0..count).filter(|input| shard.has(*input));
        let done = self.journal.done().cloned();
        let last = self.lanes.len() - 1;
        let next = done.map_or((0, 0), |done| {
            let lane = (0..=last).find(|lane| self.position(done.input, *lane) == done);
            match lane.unwrap_or(last) {
                lane if lane == last => (done.input + 1, 0),
                lane => (done.input, lane + 1),
            }
        });
        let quiet = self.opened.args.giving.output.quiet;
        self.progress = screen::steps(quiet, inputs.clone().count() as u64);
        for input in inputs {
            if interrupted() {
                break;
            }
            if input >= next.0 {
                self.input(input, if input == next.0 { next.1 } else { 0 })?;
            }
            self.progress.inc(1);
        }
        self.progress.finish_and_clear();
        Ok(())
    }

    /// Runs one input on this lane and the later ones. The reference always runs: all lanes need its outputs.
    fn input(&mut self, input: usize, from: usize) -> Result<(), Failure> {
        let given = self.opened.inputs.read(&self.opened.model, input)?;
        let fed = Input {
            model: given.model(&self.opened.model),
            feeds: &given.sample.feeds,
            repeats: self.opened.args.repeat.max(1),
            deadline: self.opened.deadline(),
        };
        let request =
            Request { model: fed.model, feeds: fed.feeds, repeats: 1, deadline: fed.deadline };
        let reference = self.opened.registry.engine(&self.opened.lanes[0].1);
        let source = ReferenceSource::new(request, reference);
        let mut truth: Vec<Output> = Vec::new();
        for lane in 0..self.lanes.len() {
            if lane > 0 && (lane < from || truth.is_empty()) {
                continue;
            }
            let position = self.position(input, lane);
            let is_new = lane >= from;
            if is_new {
                self.journal.start(&position);
            }
            let deadly = self.journal.is_deadly(&position);
            let ran = self.runners[lane].run(&fed, &given, deadly);
            if interrupted() {
                self.journal.withdraw(&position);
                break;
            }
            if lane == 0 {
                given.check(&ran.execution)?;
                truth.clone_from(&ran.execution.outputs);
                if !truth.is_empty() {
                    self.opened.check(&truth, &given.sample)?;
                }
            }
            if is_new {
                let record = ran.record(position, &given.sample);
                self.keep(lane, self.opened.measured(lane, record, &ran, &truth, &source, &given));
            }
        }
        Ok(())
    }

    /// Adds the record of an input to the tally and to the journal.
    fn keep(&mut self, lane: usize, record: Record) {
        self.runners[lane].remember(&record);
        self.lanes[lane].tally.absorb(&record);
        self.journal.record(record);
    }
}
