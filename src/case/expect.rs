//! Compares the expected results of a target with its actual results.

use super::{CaseTarget, Expectation, ExplainedBy, When};
use crate::compare::Explanation;
use crate::engine::RanOn;
use crate::verdict::{Kind, News, Verdict};

/// The results of one target that expectations look at.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The verdict.
    pub verdict: &'a Verdict,
    /// The backend, device and driver that really ran.
    pub ran_on: Option<&'a RanOn>,
    /// The roundings that explain outputs.
    pub explained_by: &'a [Explanation],
    /// The previews of the target's outputs.
    pub previews: &'a [String],
    /// The name and the ONNX node of each operator that introduces error; `None` without a walk.
    pub sources: Option<&'a [(String, String)]>,
}

impl When {
    /// Whether the names match what ran.
    pub fn matches(&self, ran_on: Option<&RanOn>) -> bool {
        let part = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| found.contains(wanted.as_str()))
        };
        match ran_on {
            Some(ran_on) => {
                part(&self.backend, &ran_on.backend)
                    && part(&self.device, &ran_on.device)
                    && part(&self.driver, &ran_on.driver)
            }
            None => self.backend.is_none() && self.device.is_none() && self.driver.is_none(),
        }
    }
}

impl CaseTarget {
    /// Whether the expectation holds for the backend, device and driver that ran.
    pub fn applies(&self, ran_on: Option<&RanOn>) -> bool {
        self.when.as_ref().is_none_or(|when| when.matches(ran_on))
    }
}

impl Expectation {
    /// Whether the comparison needs a walk over the operators.
    pub fn needs_walk(&self) -> bool {
        let is_a_walks =
            [Kind::Converter, Kind::CpuKernel, Kind::Precision].contains(&self.verdict);
        let asks = self.source.is_some() || self.sources.is_some();
        asks || self.allow_converter.is_some() || is_a_walks
    }

    /// Every difference from the expectation, one line each; empty if there are none.
    pub fn differences(&self, said: &Said<'_>) -> Vec<String> {
        let mut differences = Vec::new();
        if said.verdict.kind != self.verdict {
            differences.push(self.other_verdict(said));
        }
        differences.extend(self.other_sources(said));
        differences.extend(self.other_explanation(said.explained_by));
        if let Some(preview) = self.preview.as_ref().filter(|p| !said.previews.contains(p)) {
            let got = said.previews.join(" and ");
            differences.push(format!("preview: expected {preview}, got {got}"));
        }
        differences.extend(self.other_words(said.verdict));
        differences
    }

    fn other_verdict(&self, said: &Said<'_>) -> String {
        let (expected, got) = (self.verdict, &said.verdict);
        let advice = if expected.news() == News::Bad && got.kind.news() == News::Good {
            "; if it is mended, delete this expectation or narrow its `when` to the drivers that still have it"
        } else {
            ""
        };
        format!("verdict: expected {expected}, got {}: {}{advice}", got.kind, got.sentence)
    }

    fn other_sources(&self, said: &Said<'_>) -> Vec<String> {
        let found = match said.sources {
            None if self.needs_walk() => {
                return vec!["source: expected one, but the target was not walked".into()];
            }
            None => return Vec::new(),
            Some(found) => found,
        };
        let is =
            |wanted: &String, (name, node): &(String, String)| name == wanted || node == wanted;
        let shown = || match found {
            [] => "none".to_owned(),
            some => some.iter().map(|(_, node)| format!("`{node}`")).collect::<Vec<_>>().join(", "),
        };
        let mut differences = Vec::new();
        if let Some(source) = &self.source
            && !found.first().is_some_and(|first| is(source, first))
        {
            differences.push(format!("source: expected `{source}` first, got {}", shown()));
        }
        if let Some(sources) = &self.sources {
            let all = sources.iter().all(|wanted| found.iter().any(|found| is(wanted, found)));
            let only = found.iter().all(|found| sources.iter().any(|wanted| is(wanted, found)));
            if !(all && only) {
                let wanted: Vec<String> = sources.iter().map(|s| format!("`{s}`")).collect();
                let wanted = if wanted.is_empty() { "none".into() } else { wanted.join(", ") };
                differences.push(format!("sources: expected {wanted}, got {}", shown()));
            }
        }
        differences
    }

    fn other_explanation(&self, explained_by: &[Explanation]) -> Option<String> {
        let wanted = self.explained_by?;
        let is = |found: &Explanation| {
            (found.format, found.rounding) == (wanted.format, wanted.rounding) && found.share == 1.0
        };
        if explained_by.iter().any(is) {
            return None;
        }
        let name = |found: &Explanation| {
            let name = ExplainedBy { format: found.format, rounding: found.rounding };
            match found.share {
                1.0 => name.to_string(),
                share => format!("{name} for {:.1} % of what differs", 100.0 * share),
            }
        };
        let got: Vec<String> = explained_by.iter().map(name).collect();
        let got = if got.is_empty() { "nothing".into() } else { got.join(" and ") };
        Some(format!("explained_by: expected {wanted}, got {got}"))
    }

    fn other_words(&self, verdict: &Verdict) -> Option<String> {
        let words = self.says.as_ref()?;
        let said = std::iter::once(&verdict.sentence).chain(&verdict.diagnosis);
        let found = said.clone().any(|sentence| sentence.contains(words.as_str()));
        let got: Vec<&str> = said.map(String::as_str).collect();
        (!found).then(|| format!("says: expected `{words}`, got {}", got.join("; ")))
    }
}
