//! Filling a matrix: every network on every target, each in a child process of its own, written down
//! before and after, so that neither a driver's death nor this command's loses what is known.

use super::args::SweepArgs;
use super::case::load;
use super::case_run::{REPEATS, prepare, resolved};
use super::examine::{Truth, examine, tolerance_of};
use super::failure::Failure;
use super::jobs::on_threads;
use super::matrix_from::{cell, public, same_name, stem};
use super::place::{read_reference, read_target};
use super::prepare::{feeds, load as load_model};
use super::registry::Registry;
use super::run::no_reference;
use super::screen;
use super::walk::examine_walked;
use crate::case::Case;
use crate::choice::Source;
use crate::engine::{Execution, Outcome, Request, Target};
use crate::graph::Model;
use crate::inputs::Feed;
use crate::matrix::{Cell, Matrix, Row, RowInput, Shard};
use crate::report::TargetReport;
use crate::tensor::Digest;
use crate::verdict::{News, Verdict};
use crate::walk::{By, Goal, Journal, Known, Plan};
use crate::worker::{Walked, Walker, find_converter, interrupted};
use indicatif::ProgressBar;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a cell is begun before it is given up: what ends this command twice may be the cell.
const ATTEMPTS: usize = 2;

/// Fills the share's cells; a journal that could be written no more is told beside them.
pub(super) fn sweep(args: &SweepArgs, shard: Shard) -> Result<(Matrix, Option<Failure>), Failure> {
    let mut targets = Vec::new();
    for text in &args.on {
        let target = read_target(text, &args.place)?;
        let name = public(&target.to_string());
        if !targets.iter().any(|(known, _)| *known == name) {
            targets.push((name, target));
        }
    }
    let networks = networks(args)?;
    let journal = open_journal(args, shard, &networks, &targets)?;
    let sweep = Sweep {
        args,
        shard,
        targets: &targets,
        registry: Registry::new(find_converter(), args.place.limits)?,
        journal: Mutex::new(journal),
        progress: screen::progress(args.giving.output.quiet),
    };
    let numbered: Vec<(usize, &Network)> = networks.iter().enumerate().collect();
    let rows = on_threads(&numbered, args.jobs, |(number, network)| sweep.row(*number, network));
    sweep.progress.finish_and_clear();
    let mut journal = sweep.journal.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !interrupted() {
        journal.finish();
    }
    let unwritten = journal
        .failure()
        .map(|error| Failure::write(args.giving.out.as_deref().unwrap_or(Path::new(".")), error));
    let names = targets.into_iter().map(|(name, _)| name);
    Ok((Matrix { interrupted: interrupted(), ..Matrix::new(names, rows) }, unwritten))
}

/// One network to run, before anything is known of it.
struct Network {
    origin: Origin,
    reference: Target,
    deadline: Duration,
    row: Row,
}

/// Where a network and its feeds come from.
enum Origin {
    Model(PathBuf),
    Case(Box<Case>),
}

/// Every network that was named; each is read once, so that what cannot be read is told at once.
fn networks(args: &SweepArgs) -> Result<Vec<Network>, Failure> {
    let reference = read_reference(&args.reference, &args.place)?;
    let mut networks = Vec::new();
    for path in &args.networks {
        if path.extension().is_some_and(|end| end == "onnx") {
            networks.push(Network {
                origin: Origin::Model(path.clone()),
                reference: reference.clone(),
                deadline: Duration::from_secs(args.timeout),
                row: unknown_row(stem(path)),
            });
            continue;
        }
        for (_, case) in load(std::slice::from_ref(path))? {
            networks.push(Network {
                reference: resolved(&case, &case.reference, None)?,
                deadline: Duration::from_secs(case.timeout.unwrap_or(args.timeout)),
                row: unknown_row(case.id.clone()),
                origin: Origin::Case(Box::new(case)),
            });
        }
    }
    let mut names = BTreeSet::new();
    for network in &mut networks {
        let (model, feeds) = network.open(args)?;
        network.describe(&model, &feeds, args.system.clone());
        if !names.insert(network.row.name.clone()) {
            return Err(same_name(&network.row.name));
        }
    }
    Ok(networks)
}

fn unknown_row(name: String) -> Row {
    Row {
        name,
        system: None,
        digest: Digest::of([]),
        nodes: 0,
        op_types: BTreeSet::new(),
        inputs: Vec::new(),
        reference: String::new(),
        cells: BTreeMap::new(),
    }
}

impl Network {
    fn open(&self, args: &SweepArgs) -> Result<(Model, Vec<Feed>), Failure> {
        match &self.origin {
            Origin::Case(case) => prepare(case),
            Origin::Model(path) => {
                let model = load_model(path, &args.feed.shape)?;
                let feeds = feeds(&model, &args.feed)?;
                Ok((model, feeds))
            }
        }
    }

    fn describe(&mut self, model: &Model, feeds: &[Feed], system: Option<String>) {
        let input = |feed: &Feed| RowInput {
            name: feed.name.clone(),
            spec: public(&feed.spec),
            digest: feed.digest.clone(),
        };
        self.row.system = system;
        self.row.digest = model.digest().clone();
        self.row.nodes = model.node_count();
        self.row.inputs = feeds.iter().map(input).collect();
        self.row.reference = public(&self.reference.to_string());
    }
}

/// The journal under `--out`; without a folder nothing is kept.
fn open_journal(
    args: &SweepArgs,
    shard: Shard,
    networks: &[Network],
    targets: &[(String, Target)],
) -> Result<Journal<Cell>, Failure> {
    let Some(folder) = &args.giving.out else { return Ok(Journal::default()) };
    let path = folder.join(format!("journal-matrix{}.jsonl", shard.suffix()));
    // Everything that an answer depends on, the documents of devices included.
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut parts = vec![version, shard.to_string(), args.fallback.to_string()];
    parts.extend(targets.iter().map(|(_, target)| format!("{target:?}")));
    for Network { row, deadline, .. } in networks {
        let row = serde_json::to_string(row).map_err(|_| Failure::bug())?;
        parts.push(format!("{row} {deadline:?}"));
    }
    let key = Digest::of(parts.iter().map(String::as_bytes));
    Journal::open(&path, key.hex()).map_err(|error| Failure::write(&path, error))
}

/// One sweep under way.
struct Sweep<'a> {
    args: &'a SweepArgs,
    shard: Shard,
    targets: &'a [(String, Target)],
    registry: Registry,
    journal: Mutex<Journal<Cell>>,
    progress: ProgressBar,
}

/// A network that was opened, and what the reference makes of it.
struct Opened {
    model: Model,
    feeds: Vec<Feed>,
    deadline: Duration,
    truth: Execution,
}

impl Sweep<'_> {
    /// The network's cells of this share.
    fn row(&self, number: usize, network: &Network) -> Row {
        let mut row = network.row.clone();
        let mut opened: Option<Result<Opened, Box<Cell>>> = None;
        for (at, (name, target)) in self.targets.iter().enumerate() {
            if interrupted() {
                break;
            }
            if !self.shard.has(number * self.targets.len() + at) {
                continue;
            }
            let probe = format!("{} on {name}", row.label());
            self.progress.set_message(probe.clone());
            let cell = match self.known(&probe) {
                Ok(cell) => cell,
                Err(attempt) => {
                    self.journal().start(&attempt);
                    let cell = match opened.get_or_insert_with(|| self.open(network)) {
                        Ok(opened) => self.cell(opened, &network.reference, target),
                        Err(unclear) => Cell::clone(unclear),
                    };
                    if interrupted() {
                        self.journal().withdraw(&attempt);
                        break;
                    }
                    self.journal().done(&attempt, &cell);
                    cell
                }
            };
            row.cells.insert(name.clone(), cell);
        }
        row
    }

    /// What an earlier command found, or the name of the attempt to begin now.
    fn known(&self, probe: &str) -> Result<Cell, String> {
        let journal = self.journal();
        for attempt in 1..=ATTEMPTS {
            let name = format!("{probe}, attempt {attempt}");
            match journal.known(&name) {
                Known::Done(cell) => return Ok(cell),
                Known::New => return Err(name),
                Known::Interrupted => {}
            }
        }
        Ok(Cell::unclear(format!(
            "{ATTEMPTS} times this command came to its end while the cell was filled, so that it was not begun again"
        )))
    }

    fn journal(&self) -> MutexGuard<'_, Journal<Cell>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network and the reference's outputs; without them no cell of the row can be judged.
    fn open(&self, network: &Network) -> Result<Opened, Box<Cell>> {
        let unclear = |failure: Failure| Box::new(Cell::unclear(public(&failure.line())));
        let (model, feeds) = network.open(self.args).map_err(unclear)?;
        let deadline = network.deadline;
        let request = Request { model: &model, feeds: &feeds, repeats: 1, deadline };
        let truth = self.registry.engine(&network.reference).execute(&request);
        if truth.outcome != Outcome::Completed {
            return Err(unclear(no_reference(&network.reference, &truth)));
        }
        Ok(Opened { model, feeds, deadline, truth })
    }

    /// One target's whole outputs; where they are wrong its operators are walked, too.
    fn cell(&self, opened: &Opened, reference: &Target, target: &Target) -> Cell {
        let Opened { model, feeds, truth, .. } = opened;
        let request = Request { model, feeds, repeats: REPEATS, deadline: opened.deadline };
        let source = Source::new(request, self.registry.engine(reference));
        let right = Truth::of(truth, &source);
        let execution = self.registry.engine(target).execute(&request);
        let whole = examine(target, execution, right, None, None);
        let walker = self.registry.walker(target);
        let Some(walker) = walker.filter(|_| whole.verdict.kind.news() == News::Bad) else {
            return cell(&whole);
        };
        let walked = self.walk(walker.as_ref(), &request, target, truth);
        let fallback = walked.fallback.clone();
        let report = explained(whole, examine_walked(target, walked, right, None));
        cell(&TargetReport { fallback, ..report })
    }

    /// Walks, and searches for a fallback where that is asked for; a search that comes to no end costs
    /// no more than itself.
    fn walk(
        &self,
        walker: &dyn Walker,
        request: &Request<'_>,
        target: &Target,
        truth: &Execution,
    ) -> Walked {
        let goal = Goal::Tolerance(tolerance_of(target, &truth.outputs, None));
        let plan = Plan { by: By::Type, goal, raise: false, expected: truth.outputs.clone() };
        let searched = self.args.fallback.then(|| walker.walk(request, Some(&plan), &mut |_| ()));
        match searched.filter(|searched| searched.found.is_some()) {
            Some(searched) => searched,
            None => walker.walk(request, None, &mut |_| ()),
        }
    }
}

/// A target that is wrong as a whole, in the words of its walk where that names the cause. The walk's own
/// reference is the engine on the CPU: what that already does wrong, no operator of the target explains.
fn explained(whole: TargetReport, walked: TargetReport) -> TargetReport {
    let found = &walked.verdict;
    let walk = walked.walk.as_ref();
    let names_operators = walk.is_some_and(|walk| !walk.sources.is_empty());
    let is_converted = walk.is_some_and(|walk| walk.first_converted.is_some());
    if found.kind.news() == News::Bad && (names_operators || !is_converted) {
        return walked;
    }
    let beside = if is_converted { "beside the engine's own CPU" } else { "walked" };
    let sentence = format!("{}; {beside}: {}", whole.verdict.sentence, found.sentence);
    let verdict = Verdict { sentence, ..whole.verdict };
    TargetReport { verdict, walk: walked.walk, ..whole }
}
