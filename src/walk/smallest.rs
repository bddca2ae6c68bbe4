//! Finds the smallest set of members that reaches a goal. An oracle only says of one set whether it reaches the goal.
//! The search knows neither operators nor engines.
//!
//! Members may mask each other. Two may be needed together although neither helps alone, and one may be harmful without
//! the other. So the search begins with a set that reaches the goal and removes members. Then it asks about all smaller
//! sets of the remaining members, as far as the limit allows.

use std::collections::BTreeSet;

/// A set of members, by their numbers.
pub type Set = BTreeSet<usize>;

/// Asks whether a set reaches the goal.
pub type Reaches<'a> = dyn FnMut(&Set) -> Result<bool, String> + 'a;

/// The most smaller sets that are asked about at the end.
const MOST_SUBSETS: usize = 64;

/// A set that reaches the goal, and how far its parts are known not to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smallest {
    /// The members.
    pub set: Set,
    /// Removing up to this many members at once never reaches the goal. The number equals the set's size if no part of
    /// the set reaches the goal.
    pub proven: usize,
}

/// Searches among members. `suspects` are believed to matter, the likeliest first. The first `sources` of them
/// are believed to be needed. `None` if even all members together do not reach the goal.
///
/// # Errors
/// Returns the reason if the oracle fails.
pub fn smallest(
    suspects: &[usize],
    sources: usize,
    reaches: &mut Reaches<'_>,
) -> Result<Option<Smallest>, String> {
    if reaches(&Set::new())? {
        return Ok(Some(Smallest { set: Set::new(), proven: 0 }));
    }
    let Some(enough) = enough(suspects, sources, reaches)? else { return Ok(None) };
    let set = take_away(suspects, enough, reaches)?;
    prove(set, reaches).map(Some)
}

/// The shortest run of suspects found to reach the goal: the sources first, then ever more.
fn enough(
    suspects: &[usize],
    sources: usize,
    reaches: &mut Reaches<'_>,
) -> Result<Option<Set>, String> {
    let first = |count: usize| suspects.iter().take(count).copied().collect::<Set>();
    let (mut below, mut count) = (0, sources.clamp(1, suspects.len().max(1)));
    while !reaches(&first(count))? {
        if count >= suspects.len() {
            return Ok(None);
        }
        (below, count) = (count, (2 * count).min(suspects.len()));
    }
    // Bisects between too few and enough suspects. If the sources alone are enough, no search is needed.
    while below > 0 && count - below > 1 {
        let middle = below.midpoint(count);
        if reaches(&first(middle))? {
            count = middle;
        } else {
            below = middle;
        }
    }
    Ok(Some(first(count)))
}

/// Removes members, the least suspect first and many at once, until each remaining member is needed.
fn take_away(suspects: &[usize], mut set: Set, reaches: &mut Reaches<'_>) -> Result<Set, String> {
    let mut step = set.len().div_ceil(2);
    loop {
        let order: Vec<usize> =
            suspects.iter().rev().copied().filter(|m| set.contains(m)).collect();
        let mut smaller = false;
        for chunk in order.chunks(step.max(1)).filter(|chunk| chunk.len() < order.len()) {
            let rest: Set = set.iter().copied().filter(|m| !chunk.contains(m)).collect();
            // The search already asked about the empty set.
            if !rest.is_empty() && reaches(&rest)? {
                set = rest;
                smaller = true;
            }
        }
        if step <= 1 && !smaller {
            return Ok(set);
        }
        step = if smaller { step.min(set.len().div_ceil(2)) } else { step / 2 };
    }
}

/// Asks about the smaller sets, the smallest first, if they are few. Otherwise asks about the sets without two members.
fn prove(set: Set, reaches: &mut Reaches<'_>) -> Result<Smallest, String> {
    let members: Vec<usize> = set.iter().copied().collect();
    let count = members.len();
    // The search already asked about the sets without one member.
    let sizes: Vec<usize> = if count < usize::BITS as usize && 1 << count <= MOST_SUBSETS {
        (1..count.saturating_sub(1)).collect()
    } else if count * (count - 1) / 2 <= MOST_SUBSETS {
        vec![count - 2]
    } else {
        return Ok(Smallest { set, proven: 1 });
    };
    for &size in &sizes {
        for part in parts(&members, size) {
            if reaches(&part)? {
                return Ok(Smallest { set: part, proven: size });
            }
        }
    }
    let proven = if sizes.first() == Some(&1) || count <= 2 { count } else { 2 };
    Ok(Smallest { set, proven })
}

/// All sets of `size` members.
fn parts(members: &[usize], size: usize) -> Vec<Set> {
    if size == 0 {
        return vec![Set::new()];
    }
    let mut all = Vec::new();
    for (at, &member) in members.iter().enumerate() {
        for mut part in parts(&members[at + 1..], size - 1) {
            part.insert(member);
            all.push(part);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(
        count: usize,
        sources: &[usize],
        goal: impl Fn(&Set) -> bool,
    ) -> (Option<Vec<usize>>, usize) {
        let rest = (0..count).filter(|member| !sources.contains(member));
        let suspects: Vec<usize> = sources.iter().copied().chain(rest).collect();
        let mut asked = 0;
        let found = smallest(&suspects, sources.len(), &mut |set| {
            asked += 1;
            Ok(goal(set))
        });
        (found.unwrap().map(|found| found.set.into_iter().collect()), asked)
    }

    fn all(of: &[usize]) -> impl Fn(&Set) -> bool {
        move |set| of.iter().all(|member| set.contains(member))
    }

    #[test]
    fn what_needs_nothing_gets_nothing() {
        assert_eq!(search(9, &[3], |_| true), (Some(vec![]), 1));
    }

    #[test]
    fn the_sources_alone_are_three_questions() {
        assert_eq!(search(40, &[7], all(&[7])), (Some(vec![7]), 2));
        assert_eq!(search(40, &[7, 9], all(&[9])).0, Some(vec![9]));
    }

    #[test]
    fn members_beyond_the_sources_are_found() {
        assert_eq!(search(40, &[7], all(&[7, 33])).0, Some(vec![7, 33]));
        assert_eq!(search(40, &[], all(&[0, 20, 39])).0, Some(vec![0, 20, 39]));
    }

    #[test]
    fn two_that_cancel_are_left_alone() {
        // Members 1 and 2 cancel, and 5 is wrong by itself. A set with only 1 or only 2 is worse than one with both.
        let goal = |set: &Set| set.contains(&5) && set.contains(&1) == set.contains(&2);
        assert_eq!(search(12, &[1, 2, 5], goal).0, Some(vec![5]));
    }

    #[test]
    fn nothing_helps() {
        assert_eq!(search(12, &[1], |_| false).0, None);
    }

    #[test]
    fn many_that_are_all_needed_are_all_named() {
        let needed: Vec<usize> = (0..11).collect();
        let (found, asked) = search(200, &needed, all(&needed));
        assert_eq!(found, Some(needed));
        assert!(asked < 100, "{asked}");
    }
}
