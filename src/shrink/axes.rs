//! Smaller shapes: shortens each axis of each input as far as the finding allows. Extents that must change with an
//! axis change together, so the network stays valid.

use super::oracle::{Finding, Oracle};
use super::specimen::{Specimen, SpecimenPart};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every extent up to this one is tried. Bugs come with vectors, tiles and groups of up to 64 elements, and
/// need not persist beyond some extent. Longer extents are tried at the borders of such groups: at powers of
/// two and their neighbours.
const DENSE: usize = 64;

/// The extents of an axis at which the finding shows. Untried extents are unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// The input.
    pub input: String,
    /// Its axis, counted from 0.
    pub axis: usize,
    /// The number of axes of the input.
    pub rank: usize,
    /// The shortest tried extent that shows the finding.
    pub fails_from: usize,
    /// The next shorter extent, if it leaves a network that agrees.
    pub agrees_at: Option<usize>,
    /// Longer tried extents that agree nevertheless.
    pub agrees_beyond: Vec<usize>,
    /// All tried extents, by result.
    #[serde(flatten)]
    pub tried: Tried,
    /// The shape at which this threshold was found.
    pub shape: Vec<usize>,
}

/// Extents by result, each list ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tried {
    /// Extents that show the finding.
    pub fails: Vec<usize>,
    /// Extents that agree.
    pub agrees: Vec<usize>,
    /// Extents that show a different finding.
    pub differs: Vec<usize>,
    /// Extents that leave no network.
    pub impossible: Vec<usize>,
}

impl Threshold {
    /// Such as `along axis 2 (the last) of x: fails at 9..16, 33, 34; agrees at 1..8, 17..32`.
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
            ("is wrong in a different way at", differs),
            ("is no network at", impossible),
        ];
        let some = all.into_iter().filter(|(_, extents)| !extents.is_empty());
        let clauses: Vec<String> =
            some.map(|(what, extents)| format!("{what} {}", ranges(extents))).collect();
        clauses.join("; ")
    }

    /// Sorts the numbers by finding. Each extent is a number times `factor`.
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

/// Ascending numbers as `1..8, 17, 18, 40`. Three or more consecutive numbers become a range with both of its ends.
fn ranges(numbers: &[usize]) -> String {
    let rows = numbers.chunk_by(|a, b| a + 1 == *b);
    let row = |row: &[usize]| match row {
        [first, _, .., last] => format!("{first}..{last}"),
        few => few.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    rows.map(row).collect::<Vec<_>>().join(", ")
}

/// The numbers below `number` to try first, ascending: the powers of two with their neighbours. If `densely` is set,
/// the list also contains all numbers up to [`DENSE`].
fn first_tries(number: usize, densely: bool) -> Vec<usize> {
    let is_near_power =
        |n: &usize| (n - 1).is_power_of_two() || n.is_power_of_two() || (n + 1).is_power_of_two();
    (1..number).filter(|n| (densely && *n <= DENSE) || is_near_power(n)).collect()
}

/// Places whose extents change together. Each extent is the member's factor times one number.
struct Group {
    members: Vec<(SpecimenPart, usize)>,
    number: usize,
}

impl Group {
    fn at(&self, number: usize) -> Vec<(SpecimenPart, usize)> {
        self.members.iter().map(|(place, factor)| (place.clone(), factor * number)).collect()
    }
}

/// Shortens every axis of every feed, in rounds, until no shape changes.
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
        let axes: Vec<(SpecimenPart, usize)> = specimen.places();
        let feeds = axes.into_iter().map(|(place, _)| place);
        for place in feeds.filter(|place| matches!(place, SpecimenPart::Feed(..))) {
            let found = shorten_axis(specimen, &place, finding, oracle, announce, &mut known);
            found.into_iter().for_each(|found| keep(&mut thresholds, found));
        }
        if shapes(specimen) == before {
            break;
        }
    }
    thresholds
}

/// For each searched axis, its group and the resulting shapes. If both are the same again, all possible extents were
/// tried. After shortening, an axis may group with others.
type Known = BTreeMap<SpecimenPart, (Vec<(SpecimenPart, usize)>, Vec<Vec<usize>>)>;

/// A later search of an axis begins at the earlier result, so only a shorter extent is new.
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
    place: &SpecimenPart,
    finding: Finding,
    oracle: &mut Oracle<'_>,
    announce: &mut dyn FnMut(&str),
    known: &mut Known,
) -> Option<Threshold> {
    let SpecimenPart::Feed(name, axis) = place else { return None };
    let group = find_group(specimen, place, oracle)?;
    if known.get(place) == Some(&(group.members.clone(), shapes(specimen))) {
        return None;
    }
    announce(&format!("axis {axis} of {name}, {} long", group.number));
    let seen = look(specimen, &group, finding, oracle);
    if (oracle.interrupted)() {
        // An interrupted run is no agreement, so this axis stays unknown.
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

/// The result of each number tried. Errors need not grow with an extent, so the search does not rely on growth. Only
/// the gap below the smallest failing number is halved until it is closed.
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
    // If the finding shows at 1, there is no threshold to find.
    let densely = seen[&1] != finding;
    first_tries(group.number, densely).into_iter().for_each(|number| probe(number, &mut seen));
    while let Some((below, fails)) = gap(&seen, finding) {
        probe(below + (fails - below) / 2, &mut seen);
    }
    seen
}

/// The smallest failing number and the tried number before it, if there are others between them.
fn gap(seen: &BTreeMap<usize, Finding>, finding: Finding) -> Option<(usize, usize)> {
    let (&fails, _) = seen.iter().find(|(_, at)| **at == finding)?;
    let (&below, _) = seen.range(..fails).next_back()?;
    (fails > below + 1).then_some((below, fails))
}

/// The smallest set of places that can be shortened together with `place` and still leaves a network. `None` if there
/// is no such set, or `place` is too short already.
fn find_group(specimen: &Specimen, place: &SpecimenPart, oracle: &mut Oracle<'_>) -> Option<Group> {
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

/// Sets of places that may have to change together, simplest first.
fn candidates(place: &SpecimenPart, extent: usize, places: &[(SpecimenPart, usize)]) -> Vec<Group> {
    let is_integer = |other: &SpecimenPart| {
        matches!(other, SpecimenPart::Element(..) | SpecimenPart::Attribute(..))
    };
    let alike: Vec<&SpecimenPart> = places
        .iter()
        .filter(|(other, n)| *n == extent && other != place)
        .map(|(other, _)| other)
        .collect();
    let group = |others: Vec<&SpecimenPart>| Group {
        members: std::iter::once(place).chain(others).map(|p| (p.clone(), 1)).collect(),
        number: extent,
    };
    let mut groups = vec![group(Vec::new())];
    let integers: Vec<&SpecimenPart> =
        alike.iter().copied().filter(|other| is_integer(other)).collect();
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
