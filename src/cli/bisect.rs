//! `offby bisect`: which release of an engine first gives the wrong answer, and which operator changed.

use super::compare_args::BisectArgs;
use super::place::read_target;
use super::prepare::Prepared;
use super::releases::{Package, with_version};
use super::screen;
use crate::engine::Target;
use crate::report::{TargetReport, VersionReport, VersionsReport, versions_text};
use crate::session::{Evaluator, Failure};
use crate::verdict::{Kind, News, exit_code};
use crate::walk::{Answer, find_turn};
use std::collections::BTreeMap;

/// Asks versions until two neighbours differ, walks both, and reports; returns the exit code.
pub(super) fn bisect(args: &BisectArgs) -> Result<u8, Failure> {
    let target = read_target(&args.on, &args.network.place)?;
    let package = Package::parse(&args.versions, &target)?;
    let versions = between(package.versions()?, args)?;
    let prepared = Prepared::new(&args.network)?;
    let reference = prepared.reference()?;
    let session = prepared.session(&reference, std::slice::from_ref(&target));
    let progress = screen::progress(args.network.output.quiet);
    let mut search = ReleaseSearch {
        session: &session,
        prepared: &prepared,
        target: &target,
        package: &package,
        versions: &versions,
        asked: BTreeMap::new(),
        announce: &|text: &str| progress.set_message(text.to_owned()),
    };
    let found = search.run()?;
    let targets = search.walked(found.as_ref())?;
    progress.finish_and_clear();

    let code = exit_code(targets.iter().map(|target| target.verdict.kind));
    let mut report = prepared.report("bisect", &reference, targets);
    report.versions = Some(search.report(found.as_ref()));
    prepared.answer(&report, || versions_text(&report, screen::width(), screen::painter()))?;
    Ok(code)
}

/// The versions from the one that was right to the one that is wrong, if the user names them.
fn between(versions: Vec<String>, args: &BisectArgs) -> Result<Vec<String>, Failure> {
    let place = |version: &String| {
        versions.iter().position(|known| known == version).ok_or_else(|| {
            let some: Vec<&str> = versions.iter().rev().take(8).map(String::as_str).collect();
            Failure::new(
                format!("find version {version}: pip does not offer it"),
                format!(
                    "pip offers {} and {} older ones",
                    some.join(", "),
                    versions.len() - some.len()
                ),
            )
        })
    };
    let first = args.good.as_ref().map_or(Ok(0), place)?;
    let last = args.bad.as_ref().map_or(Ok(versions.len() - 1), place)?;
    if first >= last {
        return Err(Failure::new(
            "search between two versions: the good one is not older than the bad one",
            "name an older version with --good, or a newer one with --bad",
        ));
    }
    Ok(versions[first..=last].to_vec())
}

/// Two versions next to each other: the last that is right, and the first that is wrong.
struct Neighbours {
    right: usize,
    wrong: usize,
}

struct ReleaseSearch<'a> {
    session: &'a Evaluator<'a>,
    prepared: &'a Prepared<'a>,
    target: &'a Target,
    package: &'a Package,
    versions: &'a [String],
    /// The reports by the places of the versions; the reason if there is no report.
    asked: BTreeMap<usize, Result<TargetReport, String>>,
    announce: &'a dyn Fn(&str),
}

impl ReleaseSearch<'_> {
    /// `None` if the newest version is right, or the oldest is wrong.
    fn run(&mut self) -> Result<Option<Neighbours>, Failure> {
        let newest = self.versions.len() - 1;
        if self.ask(newest) != Answer::Diverges || self.ask(0) == Answer::Diverges {
            return Ok(None);
        }
        let turn = find_turn(newest, &|_, _| false, &mut |_, at| self.ask(at));
        Ok(turn.last_good.map(|right| Neighbours { right, wrong: turn.first_bad }))
    }

    fn ask(&mut self, at: usize) -> Answer {
        if !self.asked.contains_key(&at) {
            let version = &self.versions[at];
            (self.announce)(&format!("{} {version}", self.package.name));
            let judged = self.placed(at).map(|target| {
                let engine = self.prepared.registry.engine(&target);
                let execution = engine.execute(&self.prepared.request());
                self.session.judge_run(&target, execution)
            });
            self.asked.insert(at, judged.map_err(|failure| failure.line()));
        }
        match &self.asked[&at] {
            Ok(report) => answer(report),
            Err(_) => Answer::Unknown,
        }
    }

    fn placed(&self, at: usize) -> Result<Target, Failure> {
        let version = &self.versions[at];
        Ok(with_version(self.target, version, &self.package.install(version)?))
    }

    /// The walks of both neighbours; without neighbours, the newest version's run.
    fn walked(&self, found: Option<&Neighbours>) -> Result<Vec<TargetReport>, Failure> {
        let Some(Neighbours { right, wrong }) = found else {
            let newest = self.asked.get(&(self.versions.len() - 1));
            return Ok(newest.and_then(|asked| asked.clone().ok()).into_iter().collect());
        };
        [*wrong, *right]
            .into_iter()
            .map(|at| {
                let target = self.placed(at)?;
                (self.announce)(&format!("walking {target}"));
                self.session.walk(&target, &mut |_| (), &mut |_| ())
            })
            .collect()
    }

    fn report(&self, found: Option<&Neighbours>) -> VersionsReport {
        let version = |at: usize| self.versions[at].clone();
        let asked = self.asked.iter().map(|(at, asked)| VersionReport {
            version: version(*at),
            answer: asked.as_ref().map_or(Answer::Unknown, answer),
            sentence: match asked {
                Ok(report) => report.verdict.sentence.clone(),
                Err(reason) => reason.clone(),
            },
        });
        VersionsReport {
            package: self.package.name.clone(),
            asked: asked.collect(),
            last_right: found.map(|found| version(found.right)),
            first_wrong: found.map(|found| version(found.wrong)),
        }
    }
}

/// A wrong shape is a wrong answer. No answer is neither right nor wrong.
fn answer(report: &TargetReport) -> Answer {
    let kind = report.verdict.kind;
    match kind.news() {
        News::Good => Answer::Agrees,
        News::Bad => Answer::Diverges,
        News::None if kind == Kind::Inconclusive && has_other_shapes(report) => Answer::Diverges,
        News::None => Answer::Unknown,
    }
}

fn has_other_shapes(report: &TargetReport) -> bool {
    report.outputs.iter().any(|output| output.comparison.is_none())
}
