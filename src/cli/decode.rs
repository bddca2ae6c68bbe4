//! `offby decode`: a decoder token by token on several engines.

use super::answer::{self, Unwritten};
use super::decode_args::DecodeArgs;
use super::decode_document::document;
use super::matrix_from::public;
use super::place::{read_reference, read_target};
use super::place_for_results::can_hold_results;
use super::screen;
use super::stored::{file_name, store_tensors};
use crate::decode::{Decode, Interface, read_prompt};
use crate::engine::Target;
use crate::graph::{Model, ValueName};
use crate::report::{decode_html, decode_markdown, decode_text};
use crate::session::{Decoded, Decoder, Failure, Registry, Settings};
use crate::worker::find_converter;
use std::path::Path;
use std::time::Duration;

/// Decodes and reports; returns the exit code.
pub(super) fn decode(args: &DecodeArgs) -> Result<u8, Failure> {
    args.out.as_deref().map_or(Ok(()), can_hold_results)?;
    args.output.can_be_written()?;
    let model = Model::load(&args.model)?;
    let interface = Interface::of(&model, &pairs(&args.state)?)?;
    let prompt = read_prompt(&args.tokens, interface.vocabulary)?.0;
    let reference = read_reference(&args.reference, &args.place)?;
    let targets = targets(args)?;
    let registry = Registry::new(find_converter(), args.place.limits.memory)?;
    let decoder = Decoder {
        model: &model,
        interface: &interface,
        registry: &registry,
        reference,
        deadline: Duration::from_secs(args.timeout),
        settings: Settings {
            targets: targets.iter().map(|(_, target)| target.clone()).collect(),
            ..Settings::default()
        },
        walks: !args.no_walk,
        free: args.free,
    };
    let progress = screen::progress(args.output.quiet);
    let announce = &mut |text: &str| progress.set_message(text.to_owned());
    let decoded = decoder.decode(&prompt, args.steps, &targets, announce)?;
    progress.finish_and_clear();
    give(args, &decoder, &prompt, decoded)
}

/// The targets, each once, with their names in the result.
fn targets(args: &DecodeArgs) -> Result<Vec<(String, Target)>, Failure> {
    let mut targets: Vec<(String, Target)> = Vec::new();
    for text in &args.on {
        let target = read_target(text, &args.place)?;
        let name = public(&target.to_string());
        if !targets.iter().any(|(known, _)| *known == name) {
            targets.push((name, target));
        }
    }
    Ok(targets)
}

fn pairs(texts: &[String]) -> Result<Vec<(ValueName, ValueName)>, Failure> {
    let pair = |text: &String| {
        let (input, output) = text.split_once('=').ok_or_else(|| {
            Failure::new(
                format!("read the state `{text}`"),
                "a state is INPUT=OUTPUT, such as past_key_values.0.key=present.0.key",
            )
        })?;
        Ok((ValueName::from(input), ValueName::from(output)))
    };
    texts.iter().map(pair).collect()
}

/// Writes and prints the result; returns the exit code.
fn give(
    args: &DecodeArgs,
    decoder: &Decoder<'_>,
    prompt: &[i64],
    mut decoded: Decoded,
) -> Result<u8, Failure> {
    let parted = std::mem::take(&mut decoded.parted);
    let document = document(&args.model, decoder, prompt, decoded);
    let mut unwritten = Unwritten::default();
    if let Some(folder) = &args.out {
        unwritten.note(write_all(folder, &document, &parted));
    }
    unwritten.note(answer::give(&args.output, &document, || {
        decode_text(&document, screen::width(), screen::painter())
    }));
    unwritten.told()?;
    Ok(match document.exit_code() {
        0 if document.interrupted => 3,
        code => code,
    })
}

fn write_all(
    folder: &Path,
    document: &Decode,
    parted: &[Option<Vec<(ValueName, crate::tensor::Tensor)>>],
) -> Result<(), Failure> {
    let renderings = [("md", decode_markdown(document)), ("html", decode_html(document))];
    answer::write_forms(folder, "decode", document, renderings)?;
    for (lane, feeds) in document.targets.iter().zip(parted) {
        let Some(feeds) = feeds else { continue };
        let step = lane.part.as_ref().map_or(0, |part| part.step);
        let tensors: Vec<_> = feeds.iter().map(|(name, tensor)| (name, tensor)).collect();
        store_tensors(&folder.join(file_name(&format!("{} step {step}", lane.target))), &tensors)?;
    }
    Ok(())
}
