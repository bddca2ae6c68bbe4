//! Reads targets, and the place where they run: this machine, behind `--via`, or a place from a file.

use super::args::PlaceArgs;
use crate::case::{load_targets, resolve};
use crate::engine::{Place, Target, Via};
use crate::session::Failure;
use std::collections::BTreeMap;
use std::path::Path;

/// A target to compare, with its name resolved.
pub(super) fn read_target(text: &str, args: &PlaceArgs) -> Result<Target, Failure> {
    if let Some(file) = &args.targets {
        return named(text, &load_targets(file)?, file);
    }
    in_place(resolve(parse(text)?)?, args)
}

/// A target whose worker runs behind the command of `--via`, if there is one.
pub(super) fn in_place(target: Target, args: &PlaceArgs) -> Result<Target, Failure> {
    let via = read_via(args.via.as_deref())?;
    if via.is_some() && !target.has_worker() {
        return Err(Failure::new(
            format!("run {target} by a command: it runs in offby itself"),
            "ext:tract with --via '... offby worker' is the tract of the worker there",
        ));
    }
    behind(target, via.as_ref())
}

/// The reference target. It runs on this machine, unless a file names a different place for it.
pub(super) fn read_reference(text: &str, args: &PlaceArgs) -> Result<Target, Failure> {
    read_target(text, &PlaceArgs { via: None, targets: args.targets.clone(), limits: args.limits })
}

/// Parses a `--via` command.
pub(super) fn read_via(text: Option<&str>) -> Result<Option<Via>, Failure> {
    Ok(text.map(str::parse::<Via>).transpose()?)
}

/// A target whose worker, if it has one, runs behind a command. An `ext` target needs a command.
pub(super) fn behind(target: Target, via: Option<&Via>) -> Result<Target, Failure> {
    match via {
        None if matches!(target, Target::Ext(_)) => Err(Failure::new(
            format!("run {target}: it is whatever engine its worker has, and no worker is named"),
            "name one with --via, as in --via 'python3 examples/worker.py'",
        )),
        Some(via) if target.has_worker() => {
            Ok(target.at(Place { via: Some(via.clone()), ..Place::default() }))
        }
        _ => Ok(target),
    }
}

/// `NAME`, `TARGET@NAME` for a different target in the place of that name, or a target on this machine.
fn named(text: &str, known: &BTreeMap<String, Target>, file: &Path) -> Result<Target, Failure> {
    if let Some(target) = known.get(text) {
        return Ok(target.clone());
    }
    let elsewhere =
        text.rsplit_once('@').and_then(|(target, name)| Some((target, known.get(name)?)));
    if let Some((target, Target::At(placed))) = elsewhere {
        let target = resolve(parse(target)?)?;
        return match target.has_worker() {
            true => Ok(target.at(placed.place.clone())),
            false => Err(Failure::new(
                format!("run {text}: tract runs in offby itself"),
                "ext:tract is the tract of an `offby worker` in that place",
            )),
        };
    }
    let plain = !text.contains([':', ',', '/']);
    match text.parse::<Target>() {
        Ok(target) => behind(resolve(target)?, None),
        Err(_) if plain => Err(Failure::new(
            format!("find the target `{text}`: {} has none of that name", file.display()),
            format!("it names {}", known.keys().cloned().collect::<Vec<_>>().join(", ")),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Parses a target. The name of a place is an error without the file that defines the place.
fn parse(text: &str) -> Result<Target, Failure> {
    let error = match text.parse::<Target>() {
        Ok(target) => return Ok(target),
        Err(error) => error,
    };
    match text.rsplit_once('@') {
        Some((target, name)) if target.parse::<Target>().is_ok() => Err(Failure::new(
            format!("read the target `{text}`: `{name}` is the name of a place"),
            "give the file that names it: --targets FILE",
        )),
        _ => Err(error.into()),
    }
}
