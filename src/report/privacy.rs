//! Removing paths of one machine from a report that is attached to a ticket.

use super::document::Report;
use std::path::Path;

/// Shortens the home folder to `~`, and the network's absolute path to its file name, in all texts.
pub fn without_private_paths(mut report: Report, home: Option<&str>) -> Report {
    let model = Path::new(&report.model.path);
    let name = model.file_name().map(|name| name.to_string_lossy().into_owned());
    let absolute = model.is_absolute().then(|| report.model.path.clone());
    let model = absolute.zip(name);
    for text in texts(&mut report) {
        if let Some((path, name)) = &model {
            *text = text.replace(path, name);
        }
        if let Some(home) = home {
            *text = without_home(text, home);
        }
    }
    report
}

/// Every text of a report that may contain a path.
fn texts(report: &mut Report) -> Vec<&mut String> {
    let mut texts = vec![&mut report.model.path];
    texts.extend(report.inputs.iter_mut().map(|input| &mut input.spec));
    if let Some(environment) = &mut report.environment {
        texts.extend(&mut environment.command);
        texts.extend(environment.variables.values_mut());
        texts.extend(&mut environment.converter);
    }
    for target in &mut report.targets {
        texts.push(&mut target.target);
        texts.extend(&mut target.evidence);
        texts.push(&mut target.verdict.sentence);
        texts.extend(&mut target.verdict.hint);
        texts.extend(&mut target.verdict.diagnosis);
        texts.extend(target.ran_on.iter_mut().map(|ran_on| &mut ran_on.driver));
        texts.extend(target.outputs.iter_mut().map(|output| &mut output.judgement.words));
        if let Some(walk) = &mut target.walk {
            texts.extend(walk.ops_unchecked.iter_mut().map(|op| &mut op.reason));
            texts.extend(walk.probes.iter_mut().filter_map(|probe| probe.reason.as_mut()));
        }
    }
    texts
}

/// The text with `~` for the home folder, as a whole path or the beginning of one. The root folder is not
/// shortened.
pub fn without_home(text: &str, home: &str) -> String {
    let home = home.trim_end_matches('/');
    if home.is_empty() {
        return text.to_owned();
    }
    let mut pieces = text.split(home);
    let mut shortened = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let begins = !shortened.ends_with(|c: char| c.is_alphanumeric() || "_-./~".contains(c));
        let ends = !piece.starts_with(|c: char| c.is_alphanumeric() || "_-.".contains(c));
        shortened.push_str(if begins && ends { "~" } else { home });
        shortened.push_str(piece);
    }
    shortened
}

#[cfg(test)]
mod tests {
    use super::without_home;

    #[test]
    fn only_the_home_folder_itself_is_shortened() {
        let short = |text| without_home(text, "/home/ada");
        assert_eq!(short("see /home/ada/.cache/x, /home/ada"), "see ~/.cache/x, ~");
        assert_eq!(short("input=/home/ada/x.npy"), "input=~/x.npy");
        assert_eq!(short("/home/adam/x"), "/home/adam/x");
        assert_eq!(short("/mnt/home/ada/x"), "/mnt/home/ada/x");
    }
}
