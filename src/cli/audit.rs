//! `offby audit`: does a target always compute the same?

use super::answer::{self, Unwritten};
use super::audit_args::AuditArgs;
use super::matrix_from::public;
use super::place::read_target;
use super::place_for_results::can_hold_results;
use super::prepare::load_fed;
use super::screen;
use crate::determinism::{AUDIT_SCHEMA, AuditDocument};
use crate::engine::{Request, Target};
use crate::graph::Model;
use crate::report::{audit_html, audit_markdown, audit_text};
use crate::session::{Failure, Registry, Steadiness, SteadinessFound};
use crate::worker::{Converter, find_converter, interrupted};
use std::time::Duration;

/// Runs the target many times and reports; returns the exit code.
pub(super) fn audit(args: &AuditArgs) -> Result<u8, Failure> {
    args.output.can_be_written()?;
    args.out.as_deref().map_or(Ok(()), can_hold_results)?;
    let (model, feeds) = load_fed(&args.model.path, &args.model.feed)?;
    let target = read_target(&args.on, &args.place)?;
    let converter = args.mnn.clone().map_or_else(find_converter, Converter::Ready);
    let registry = Registry::new(converter, args.place.limits.memory)?;
    let deadline = Duration::from_secs(args.timeout);
    let steadiness = Steadiness {
        request: Request { model: &model, feeds: &feeds, repeats: 1, deadline },
        registry: &registry,
        target: &target,
        runs: args.runs.get(),
        processes: args.processes,
        batch: args.batch.map(std::num::NonZero::get),
        padding: args.pad.as_ref(),
    };
    if let Some(Err(why)) = args.pad.as_ref().map(|padding| steadiness.padded(padding)) {
        return Err(Failure::new(
            format!("pad the inputs: {why}"),
            "--pad takes an open axis of the file, and a length that is longer than the inputs: --pad sequence=32",
        ));
    }
    if args.batch.is_some() && !steadiness.takes_batch() {
        return Err(Failure::new(
            "make a batch of the inputs",
            "each input needs an open first axis in the file, and 1 there: --shape NAME=1,...; or leave --batch out",
        ));
    }
    let progress = screen::progress(args.output.quiet);
    let found = steadiness.look(&mut |text| progress.set_message(text.to_owned()));
    progress.finish_and_clear();
    let document = document(args, &model, &target, found);
    let mut unwritten = Unwritten::default();
    if let Some(folder) = &args.out {
        let forms = [("md", audit_markdown(&document)), ("html", audit_html(&document))];
        unwritten.note(answer::write_forms(folder, "audit", &document, forms));
    }
    unwritten.note(answer::give(&args.output, &document, || {
        audit_text(&document, screen::width(), screen::painter())
    }));
    unwritten.told()?;
    Ok(document.exit_code())
}

fn document(
    args: &AuditArgs,
    model: &Model,
    target: &Target,
    found: SteadinessFound,
) -> AuditDocument {
    let name = public(&target.to_string());
    let (first, no_first) = match found.first {
        Some(Ok(first)) => (Some(first), None),
        Some(Err(why)) => (None, Some(public(&why))),
        None => (None, None),
    };
    AuditDocument {
        schema: AUDIT_SCHEMA.into(),
        made_by: env!("CARGO_PKG_VERSION").into(),
        model: public(&args.model.path.display().to_string()),
        digest: model.digest().clone(),
        simulated: name.starts_with("sim:"),
        target: name,
        ran_on: found.ran_on,
        lanes: found.lanes,
        spots: found.spots,
        first,
        no_first,
        interrupted: interrupted(),
        kind: found.kind,
        sentence: public(&found.sentence),
    }
}
