//! Smaller shapes: each axis of each input as short as it can be while the finding stays, together
//! with what must change with it for the network to stay one.

use super::oracle::{Finding, Oracle};
use super::specimen::{Place, Specimen};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every extent up to this one is tried: bugs come with vectors, tiles and groups of up to 64 elements, and need
/// not stay from some extent on. Longer ones are tried where such sizes begin and end: at powers of two and
/// beside them.
const DENSE: usize = 64;

/// At which extents of an axis the finding shows. Nothing is known of those that were not tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// The input.
    pub input: String,
    /// Its axis, counted from 0.
    pub axis: usize,
    /// How many axes it has.
    pub rank: usize,
    /// The shortest extent that shows the finding, of those that were tried.
    pub fails_from: usize,
    /// The one below it, if that is a network and agrees.
    pub agrees_at: Option<usize>,
    /// Longer extents that were tried and agree all the same.
    pub agrees_beyond: Vec<usize>,
    /// All extents that were tried, by what they show.
    #[serde(flatten)]
    pub tried: Tried,
    /// The shape at which this was found.
    pub shape: Vec<usize>,
}

/// Extents by what was seen at them, each list ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tried {
    /// They show the finding.
    pub fails: Vec<usize>,
    /// They agree.
    pub agrees: Vec<usize>,
    /// Something else is wrong with them.
    pub differs: Vec<usize>,
    /// They leave no network.
    pub impossible: Vec<usize>,
}

impl Threshold {
    /// `along axis 2 (the last) of x: fails at 9..16, 33, 34; agrees at 1..8, 17..32`.
    pub fn sentence(&self) -> String {
        let Threshold { axis, input, rank, tried, .. } = self;
        let last = if axis + 1 == *rank { " (the last)" } else { "" };
        format!("along axis {axis}{last} of `{input}`: {}", tried.words())
    }
}

impl Tried {
    fn words(&self) -> String {
        let Tried { fails, agrees, differs, impossible } = self;
        if agrees.is_empty() && differs.is_empty() && impossible.is_empty() {
            return format!("fails at every extent tried, {}", ranges(fails));
        }
        let all = [
            ("fails at", fails),
            ("agrees at", agrees),
            ("is wrong in another way at", differs),
            ("is no network at", impossible),
        ];
        let some = all.into_iter().filter(|(_, extents)| !extents.is_empty());
        let clauses: Vec<String> =
            some.map(|(what, extents)| format!("{what} {}", ranges(extents))).collect();
        clauses.join("; ")
    }

    /// What was seen at which number, in units of `factor`.
    fn of(seen: &BTreeMap<usize, Finding>, finding: Finding, factor: usize) -> Self {
        let mut tried = Tried::default();
        for (number, at) in seen {
            let list = match at {
                at if *at == finding => &mut tried.fails,
                Finding::Agrees => &mut tried.agrees,
                Finding::Invalid => &mut tried.impossible,
                _ => &mut tried.differs,
            };
            list.push(number * factor);
        }
        tried
    }
}

/// `1..8, 17, 18, 40`: ascending numbers, three in a row or more as a range with both of its ends.
fn ranges(numbers: &[usize]) -> String {
    let rows = numbers.chunk_by(|a, b| a + 1 == *b);
    let row = |row: &[usize]| match row {
        [first, _, .., last] => format!("{first}..{last}"),
        few => few.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    rows.map(row).collect::<Vec<_>>().join(", ")
}

/// The numbers below `number` to try at first, ascending: all of them up to [`DENSE`] if they are to be tried
/// densely, and the powers of two with their neighbours.
fn first_tries(number: usize, densely: bool) -> Vec<usize> {
    let is_near_power =
        |n: &usize| (n - 1).is_power_of_two() || n.is_power_of_two() || (n + 1).is_power_of_two();
    (1..number).filter(|n| (densely && *n <= DENSE) || is_near_power(n)).collect()
}

/// Places whose extents go together: each is `factor` times one number.
struct Group {
    members: Vec<(Place, usize)>,
    number: usize,
}

impl Group {
    fn at(&self, number: usize) -> Vec<(Place, usize)> {
        self.members.iter().map(|(place, factor)| (place.clone(), factor * number)).collect()
    }
}

/// Shortens every axis of every feed, in rounds, until nothing changes any more.
pub(super) fn shorten(
    specimen: &mut Specimen,
    finding: Finding,
    oracle: &mut Oracle<'_>,
    announce: &mut dyn FnMut(&str),
) -> Vec<Threshold> {
    let mut thresholds: Vec<Threshold> = Vec::new();
    let mut known = Known::new();
    for _ in 0..3 {
        let before = shapes(specimen);
        let axes: Vec<(Place, usize)> = specimen.places();
        let feeds = axes.into_iter().map(|(place, _)| place);
        for place in feeds.filter(|place| matches!(place, Place::Feed(..))) {
            let found = shorten_axis(specimen, &place, finding, oracle, announce, &mut known);
            found.into_iter().for_each(|found| keep(&mut thresholds, found));
        }
        if shapes(specimen) == before {
            break;
        }
    }
    thresholds
}

/// For an axis that was looked at, what went together with it and the shapes that this left: if it is the same
/// again, all that could be tried was. Once shorter, an axis may go together with others.
type Known = BTreeMap<Place, (Vec<(Place, usize)>, Vec<Vec<usize>>)>;

/// A later look at an axis begins where the earlier one ended, and says more only if it got further.
fn keep(thresholds: &mut Vec<Threshold>, found: Threshold) {
    let same = |old: &Threshold| (&old.input, old.axis) == (&found.input, found.axis);
    match thresholds.iter_mut().find(|old| same(old)) {
        Some(old) if found.fails_from < old.fails_from => *old = found,
        Some(_) => {}
        None => thresholds.push(found),
    }
}

fn shapes(specimen: &Specimen) -> Vec<Vec<usize>> {
    specimen.feeds.iter().map(|feed| feed.tensor.shape().to_vec()).collect()
}

fn shorten_axis(
    specimen: &mut Specimen,
    place: &Place,
    finding: Finding,
    oracle: &mut Oracle<'_>,
    announce: &mut dyn FnMut(&str),
    known: &mut Known,
) -> Option<Threshold> {
    let Place::Feed(name, axis) = place else { return None };
    let group = find_group(specimen, place, oracle)?;
    if known.get(place) == Some(&(group.members.clone(), shapes(specimen))) {
        return None;
    }
    announce(&format!("axis {axis} of {name}, {} long", group.number));
    let seen = look(specimen, &group, finding, oracle);
    if (oracle.interrupted)() {
        // Silence is no agreement: of this axis nothing is known.
        return None;
    }
    let factor = group.members.first().map_or(1, |(_, factor)| *factor);
    let tried = Tried::of(&seen, finding, factor);
    let fails_from = *tried.fails.first()?;
    let smaller = specimen.resized(&group.at(fails_from / factor)).ok()?;
    if oracle.shows(&smaller, finding) {
        *specimen = smaller;
    }
    known.insert(place.clone(), (group.members, shapes(specimen)));
    let shape = specimen.feeds.iter().find(|feed| feed.name == *name)?.tensor.shape().to_vec();
    Some(Threshold {
        input: name.to_string(),
        axis: *axis,
        rank: shape.len(),
        fails_from,
        agrees_at: fails_from.checked_sub(factor).filter(|below| tried.agrees.contains(below)),
        agrees_beyond: tried.agrees.iter().copied().filter(|&n| n > fails_from).collect(),
        tried,
        shape,
    })
}

/// What each number that is tried shows. Errors need not grow with an extent, so the search does not rest on it:
/// only the gap below the smallest failing number, if there is one, is halved until it is closed.
fn look(
    specimen: &Specimen,
    group: &Group,
    finding: Finding,
    oracle: &mut Oracle<'_>,
) -> BTreeMap<usize, Finding> {
    let mut seen = BTreeMap::from([(group.number, finding)]);
    let mut probe = |number: usize, seen: &mut BTreeMap<usize, Finding>| {
        seen.entry(number).or_insert_with(|| match specimen.resized(&group.at(number)) {
            Ok(smaller) => oracle.ask(&smaller).finding,
            Err(_) => Finding::Invalid,
        });
    };
    probe(1, &mut seen);
    // What shows at 1 has no threshold to be found.
    let densely = seen[&1] != finding;
    first_tries(group.number, densely).into_iter().for_each(|number| probe(number, &mut seen));
    while let Some((below, fails)) = gap(&seen, finding) {
        probe(below + (fails - below) / 2, &mut seen);
    }
    seen
}

/// The smallest failing number and the one tried before it, if there are others between them.
fn gap(seen: &BTreeMap<usize, Finding>, finding: Finding) -> Option<(usize, usize)> {
    let (&fails, _) = seen.iter().find(|(_, at)| **at == finding)?;
    let (&below, _) = seen.range(..fails).next_back()?;
    (fails > below + 1).then_some((below, fails))
}

/// The smallest set of places that can be shortened together with `place` so that a network is
/// left; `None` where there is none or nothing to shorten.
fn find_group(specimen: &Specimen, place: &Place, oracle: &mut Oracle<'_>) -> Option<Group> {
    let places = specimen.places();
    let extent = places.iter().find(|(other, _)| other == place)?.1;
    if extent < 2 {
        return None;
    }
    candidates(place, extent, &places).into_iter().find(|group| {
        let valid = |number: usize| {
            let smaller = specimen.resized(&group.at(number));
            smaller.is_ok_and(|smaller| oracle.takes(&smaller))
        };
        group.number > 1 && valid(group.number - 1)
    })
}

/// What may have to change together, the simplest first.
fn candidates(place: &Place, extent: usize, places: &[(Place, usize)]) -> Vec<Group> {
    let is_integer = |other: &Place| matches!(other, Place::Element(..) | Place::Attribute(..));
    let alike: Vec<&Place> = places
        .iter()
        .filter(|(other, n)| *n == extent && other != place)
        .map(|(other, _)| other)
        .collect();
    let group = |others: Vec<&Place>| Group {
        members: std::iter::once(place).chain(others).map(|p| (p.clone(), 1)).collect(),
        number: extent,
    };
    let mut groups = vec![group(Vec::new())];
    let integers: Vec<&Place> = alike.iter().copied().filter(|other| is_integer(other)).collect();
    if !integers.is_empty() {
        groups.push(group(integers));
    }
    groups.extend(alike.iter().map(|&other| group(vec![other])));
    if alike.len() > 1 {
        groups.push(group(alike));
    }
    // An axis that a reshape splits: its extent is a multiple of one of the integers.
    let divisors = places.iter().filter(|(other, n)| {
        is_integer(other) && *n > 1 && *n < extent && extent.is_multiple_of(*n)
    });
    groups.extend(divisors.map(|(other, n)| Group {
        members: vec![(place.clone(), extent / n), (other.clone(), 1)],
        number: *n,
    }));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_short_extents_are_tried_and_long_ones_beside_powers_of_two() {
        assert_eq!(first_tries(5, true), [1, 2, 3, 4]);
        let all: Vec<usize> = (1..=65).chain([127, 128, 129, 255, 256, 257]).collect();
        assert_eq!(first_tries(300, true), all);
        assert_eq!(first_tries(20, false), [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17]);
    }

    #[test]
    fn what_was_tried_is_said() {
        let seen = |fails: fn(&usize) -> bool| {
            let seen =
                (1..=34).map(|n| (n, if fails(&n) { Finding::Divergent } else { Finding::Agrees }));
            Tried::of(&seen.collect(), Finding::Divergent, 1)
        };
        let words = "fails at 9..16, 33, 34; agrees at 1..8, 17..32";
        assert_eq!(seen(|n| (9..=16).contains(n) || *n >= 33).words(), words);
        assert_eq!(seen(|_| true).words(), "fails at every extent tried, 1..34");
    }
}
