//! Merges the shares of one run: the result equals the whole run, in any order.

use super::document::Agree;
use super::error::AgreeError;
use std::collections::BTreeSet;

/// Merges shares, each with the name of its file. Once all shares are merged, the result equals an undivided
/// run. The walks' findings are left out, because they belong to one share.
///
/// # Errors
/// If no share is given, two shares are from different runs, or a share is repeated.
pub fn merge(parts: impl IntoIterator<Item = (String, Agree)>) -> Result<Agree, AgreeError> {
    let mut parts = parts.into_iter();
    let (_, mut whole) = parts.next().ok_or(AgreeError::Nothing)?;
    for (file, part) in parts {
        let other = |what| AgreeError::Other { file: file.clone(), what };
        for (same, what) in [
            (part.made_by == whole.made_by, "version of offby"),
            (part.model.digest == whole.model.digest, "network"),
            (part.data == whole.data, "data set"),
            (part.task == whole.task, "task"),
            (!part.interrupted && !whole.interrupted, "end"),
            (part.reference.target == whole.reference.target, "reference"),
            (targets(&part) == targets(&whole), "list of targets"),
        ] {
            if !same {
                return Err(other(what));
            }
        }
        let again = part.shares.intersection(&whole.shares).next();
        if part.shares.is_empty() || whole.shares.is_empty() || again.is_some() {
            let share = again.map_or("of everything", String::as_str).to_owned();
            return Err(AgreeError::Twice { file, share });
        }
        whole.shares.extend(part.shares);
        whole.reference.tally.merge(&part.reference.tally);
        for (known, lane) in whole.targets.iter_mut().zip(&part.targets) {
            known.tally.merge(&lane.tally);
        }
    }
    if is_all(&whole.shares) {
        whole.shares.clear();
    }
    whole.targets.iter_mut().for_each(|lane| lane.blame = None);
    Ok(whole.concluded())
}

fn targets(run: &Agree) -> Vec<&str> {
    run.targets.iter().map(|lane| lane.target.as_str()).collect()
}

/// Whether shares written like `1/3` together make the whole.
fn is_all(shares: &BTreeSet<String>) -> bool {
    let of: BTreeSet<&str> =
        shares.iter().filter_map(|share| Some(share.split_once('/')?.1)).collect();
    let number = of.first().and_then(|of| of.parse::<usize>().ok());
    of.len() == 1 && number == Some(shares.len())
}
