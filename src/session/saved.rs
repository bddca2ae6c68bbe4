//! The report that a command saves.

use super::environment::environment;
use super::{Reference, Registry};
use crate::engine::Request;
use crate::inputs::Feed;
use crate::report::{
    InputReport, ModelReport, Report, SCHEMA, TargetReport, ToolReport, without_private_paths,
};
use std::path::Path;

/// The report of a command on one network, without remarks on its values.
pub fn saved_report(
    command: &str,
    path: &Path,
    request: &Request<'_>,
    registry: &Registry,
    reference: &Reference,
    targets: Vec<TargetReport>,
) -> Report {
    let report = Report {
        schema: SCHEMA.into(),
        tool: ToolReport::this(),
        command: command.into(),
        model: ModelReport::of(path, request.model),
        inputs: request.feeds.iter().map(describe).collect(),
        reference: reference.target.to_string(),
        reference_ran_on: reference.execution.ran_on.clone(),
        reference_confirmed_by: reference.confirmed_by().map(str::to_owned),
        reference_note: reference.note.clone(),
        targets,
        nonfinite: Vec::new(),
        blind: Vec::new(),
        strategies: None,
        versions: None,
        environment: Some(environment(registry.converter())),
        interrupted: registry.interrupt().is_set(),
        judged_again: None,
    };
    without_private_paths(report, std::env::var("HOME").ok().as_deref())
}

fn describe(feed: &Feed) -> InputReport {
    InputReport {
        name: feed.name.clone(),
        shape: feed.tensor.shape().to_vec(),
        dtype: feed.tensor.dtype(),
        spec: feed.spec.clone(),
        note: feed.note.clone(),
        digest: feed.digest.clone(),
    }
}
