//! Smaller shapes: each axis of each input as short as it can be while the finding stays, together
//! with what must change with it for the network to stay one.

use super::oracle::{Finding, Oracle};
use super::specimen::{Place, Specimen};
use serde::{Deserialize, Serialize};

/// From which extent on an axis shows the finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// The input.
    pub input: String,
    /// Its axis, counted from 0.
    pub axis: usize,
    /// How many axes it has.
    pub rank: usize,
    /// The shortest extent that shows the finding.
    pub fails_from: usize,
    /// The one below it, where that is a network and agrees.
    pub agrees_at: Option<usize>,
    /// Longer extents that were tried and agree all the same.
    pub agrees_beyond: Vec<usize>,
    /// The shape at which this was found.
    pub shape: Vec<usize>,
}

impl Threshold {
    /// `fails from axis 3 (the last) of x = 17 on; 16 agrees`.
    pub fn sentence(&self) -> String {
        if self.fails_from == 1 && self.agrees_beyond.is_empty() {
            return format!("fails whatever axis {} of `{}` is", self.axis, self.input);
        }
        let last = if self.axis + 1 == self.rank { " (the last)" } else { "" };
        let below = match self.agrees_at {
            Some(extent) => format!("; {extent} agrees"),
            None if self.fails_from == 1 => String::new(),
            None => format!("; {} is no network here", self.fails_from - 1),
        };
        let beyond = match self.agrees_beyond.as_slice() {
            [] => String::new(),
            some => format!(
                "; but agrees at {}",
                some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ),
        };
        let Threshold { axis, input, fails_from, .. } = self;
        format!("fails from axis {axis}{last} of `{input}` = {fails_from} on{below}{beyond}")
    }
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
    for _ in 0..3 {
        let before = shapes(specimen);
        let axes: Vec<(Place, usize)> = specimen.places();
        let feeds = axes.into_iter().map(|(place, _)| place);
        for place in feeds.filter(|place| matches!(place, Place::Feed(..))) {
            let Some(found) = shorten_axis(specimen, &place, finding, oracle, announce) else {
                continue;
            };
            thresholds.retain(|old| (&old.input, old.axis) != (&found.input, found.axis));
            thresholds.push(found);
        }
        if shapes(specimen) == before {
            break;
        }
    }
    thresholds
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
) -> Option<Threshold> {
    let Place::Feed(name, axis) = place else { return None };
    let group = find_group(specimen, place, oracle)?;
    announce(&format!("axis {axis} of {name}, {} long", group.number));
    let mut probe = |number: usize| match specimen.resized(&group.at(number)) {
        Ok(smaller) => oracle.ask(&smaller).finding,
        Err(_) => Finding::Invalid,
    };
    // Extents below `fails` that were tried do not show it; 0 is none.
    let (mut lacks, mut fails) = (0, group.number);
    let mut below = None;
    let mut try_at = |number: usize, lacks: &mut usize, fails: &mut usize| {
        let seen = probe(number);
        if seen == finding {
            *fails = number;
        } else {
            *lacks = number;
            below = (seen == Finding::Agrees).then_some(number);
        }
    };
    try_at(1, &mut lacks, &mut fails);
    while fails > lacks + 1 {
        try_at(lacks + (fails - lacks) / 2, &mut lacks, &mut fails);
    }
    let original = group.number;
    let between = [fails + 1, fails + (original - fails) / 3, fails + 2 * (original - fails) / 3];
    let mut agrees_beyond: Vec<usize> = between
        .into_iter()
        .filter(|&extent| extent > fails && extent < original)
        .filter(|&extent| probe(extent) == Finding::Agrees)
        .collect();
    agrees_beyond.dedup();
    if (oracle.interrupted)() {
        // Silence is no agreement: of this axis nothing is known.
        return None;
    }
    let factor = group.members.first().map_or(1, |(_, factor)| *factor);
    let smaller = specimen.resized(&group.at(fails)).ok()?;
    if oracle.shows(&smaller, finding) {
        *specimen = smaller;
    }
    let shape = specimen.feeds.iter().find(|feed| feed.name == *name)?.tensor.shape().to_vec();
    Some(Threshold {
        input: name.to_string(),
        axis: *axis,
        rank: shape.len(),
        fails_from: fails * factor,
        agrees_at: below.filter(|&below| below + 1 == fails).map(|below| below * factor),
        agrees_beyond: agrees_beyond.into_iter().map(|extent| extent * factor).collect(),
        shape,
    })
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
