//! Interfaces by name and shape, prompts, figures of a token, and signs in a cache.

use super::*;
use crate::graph::{Dim, Network, ValueName};
use crate::tensor::{Dtype, Tensor};

/// A decoder with these inputs and outputs of state.
fn decoder(states: &[(&str, &str)]) -> crate::graph::Model {
    let open = |symbol: &str| Dim::Symbol(symbol.to_owned());
    let known = Dim::Known;
    let shape = |length| [known(1), known(2), open(length), known(4)];
    let mut network = Network::new("decoder")
        .open_input("input_ids", Dtype::I64, &[known(1), open("n")])
        .open_input("attention_mask", Dtype::I64, &[known(1), open("total")])
        .node("logits", "Cast", &["input_ids"], &["logits"], &[])
        .open_output("logits", Dtype::F32, &[known(1), open("n"), known(16)]);
    for (input, output) in states {
        network = network
            .open_input(input, Dtype::F32, &shape("past"))
            .node(output, "Identity", &[input], &[output], &[])
            .open_output(output, Dtype::F32, &shape("total"));
    }
    network.finish().unwrap()
}

#[test]
fn states_are_found_by_the_names_that_exporters_give() {
    for pairs in [
        [
            ("past_key_values.0.key", "present.0.key"),
            ("past_key_values.0.value", "present.0.value"),
        ],
        [("past_0_key", "present_0_key"), ("past_0_value", "present_0_value")],
        [("cache_k_0_in", "cache_k_0_out"), ("cache_v_0_in", "cache_v_0_out")],
        // Names that say nothing: the order decides.
        [("a", "b"), ("c", "d")],
    ] {
        let interface = Interface::of(&decoder(&pairs), &[]).unwrap();
        let found: Vec<(&str, &str)> = interface
            .states
            .iter()
            .map(|state| (state.input.as_str(), state.output.as_str()))
            .collect();
        assert_eq!(found, pairs);
        assert_eq!((interface.tokens.as_str(), interface.vocabulary), ("input_ids", 16));
        assert_eq!(interface.mask.as_ref().map(ValueName::as_str), Some("attention_mask"));
        assert!(interface.states.iter().all(|state| state.axis == Some(2)));
    }
    let roles = Interface::of(
        &decoder(&[
            ("past_key_values.3.key", "present.3.key"),
            ("past.3.value", "present.3.value"),
        ]),
        &[],
    );
    let roles: Vec<_> =
        roles.unwrap().states.iter().map(|state| (state.layer, state.role)).collect();
    assert_eq!(roles, [(Some(3), StateRole::Key), (Some(3), StateRole::Value)]);
}

#[test]
fn other_inputs_of_exporters_are_fed() {
    let known = Dim::Known;
    let open = |symbol: &str| Dim::Symbol(symbol.to_owned());
    let cache = [known(2), open("batch_size"), known(2), open("past"), known(4)];
    let model = Network::new("decoder")
        .open_input("input_ids", Dtype::I64, &[open("batch_size"), open("n")])
        .open_input("attention_mask", Dtype::I64, &[known(1), known(8)])
        .open_input("position_ids", Dtype::I64, &[known(1), open("n")])
        .open_input("cache_position", Dtype::I64, &[open("n")])
        .open_input("use_cache_branch", Dtype::Bool, &[known(1)])
        .open_input("past_0", Dtype::F32, &cache)
        .node("logits", "Cast", &["input_ids"], &["logits"], &[])
        .node("present", "Identity", &["past_0"], &["present_0"], &[])
        .open_output("logits", Dtype::F32, &[open("batch_size"), open("n"), known(16)])
        .open_output("present_0", Dtype::F32, &cache)
        .finish()
        .unwrap();
    let interface = Interface::of(&model, &[]).unwrap();
    assert_eq!(interface.states[0].axis, Some(3));
    let state = interface.first_state();
    assert_eq!(state[0].shape(), [2, 1, 2, 0, 4]);
    let feeds = interface.feeds(&model, &[7, 8], 3, &state);
    let numbers: Vec<Vec<f64>> = feeds.iter().map(|feed| feed.tensor.numbers(1)).collect();
    let mask = vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
    assert_eq!(numbers[..5], [vec![7.0, 8.0], mask, vec![3.0, 4.0], vec![3.0, 4.0], vec![1.0]]);
}

#[test]
fn a_step_feeds_tokens_positions_and_state() {
    let model = decoder(&[("past.0.key", "present.0.key")]);
    let interface = Interface::of(&model, &[]).unwrap();
    let state = interface.first_state();
    assert_eq!(state[0].shape(), [1, 2, 0, 4]);
    let feeds = interface.feeds(&model, &[7], 3, &state);
    let numbers: Vec<Vec<f64>> = feeds.iter().map(|feed| feed.tensor.numbers(1)).collect();
    assert_eq!(numbers, [vec![7.0], vec![1.0; 4], vec![]]);
}

#[test]
fn prompts_are_lists_and_random_tokens() {
    assert_eq!(read_prompt("1, 15,27", 28).unwrap().0, [1, 15, 27]);
    assert_eq!(read_prompt("[1 15]", 28).unwrap().0, [1, 15]);
    let random = read_prompt("random:5,1", 28).unwrap().0;
    assert!(random.len() == 5 && random.iter().all(|token| (0..28).contains(token)));
    assert_eq!(random, read_prompt("random:5,1", 28).unwrap().0);
    for wrong in ["", "1,28", "-1", "random:", "random:0", "random:3,x", "nowhere.txt"] {
        assert!(read_prompt(wrong, 28).is_err(), "{wrong}");
    }
}

#[test]
fn figures_compare_two_tokens() {
    let scores = |numbers: &[f64]| TokenScores::last_of(numbers, numbers.len());
    let want = scores(&[0.0, 2.0, 1.0]);
    let same = want.compare(&want);
    assert_eq!((same.want, same.got, same.rank, same.top5), (1, 1, 1, 3));
    assert_eq!((same.kl, same.relative_l2, same.margin), (0.0, 0.0, 1.0));
    let other = want.compare(&scores(&[0.0, 1.0, 2.0]));
    assert_eq!((other.want, other.got, other.rank), (1, 2, 2));
    assert_eq!((other.regret, other.flip.unwrap().margin), (1.0, 1.0));
    // Both probabilities are e^2 and e^1 over 1 + e + e^2: KL is their difference times 1.
    let all = 1.0 + 1f64.exp() + 2f64.exp();
    assert!((other.kl - (2f64.exp() - 1f64.exp()) / all).abs() < 1e-12);
    let broken = want.compare(&scores(&[f64::NAN; 3]));
    assert!(broken.relative_l2.is_infinite());
}

/// A cache of keys: two heads of four elements.
fn keys(rows: &[[f32; 8]]) -> Tensor {
    let of_head =
        |head: usize| rows.iter().flat_map(move |row| row[4 * head..4 * head + 4].to_vec());
    Tensor::from_f32(&[1, 2, rows.len(), 4], of_head(0).chain(of_head(1)).collect()).unwrap()
}

/// A key at a position: pairs (0, 2) and (1, 3) are turned by the position and a hundredth of it.
fn key(position: f32) -> [f32; 8] {
    let half = |size: f32| {
        let (slow, fast) = (position / 100.0, position);
        [size * fast.cos(), size * slow.cos(), size * fast.sin(), size * slow.sin()]
    };
    let (a, b) = (half(1.1), half(0.7));
    [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]
}

#[test]
fn signs_name_what_happened_to_a_cache() {
    let interface = Interface::of(&decoder(&[("past.0.key", "present.0.key")]), &[]).unwrap();
    let state = &interface.states[0];
    let (first, second, third) = (key(0.0), key(1.0), key(2.0));
    let before = keys(&[first, second]);
    let want = keys(&[first, second, third]);
    let signs = |rows: &[[f32; 8]]| {
        let got = &keys(rows);
        signs_of_state(Stepped { state, before: &before, want: &want, got })
    };
    assert_eq!(signs(&[first, second, third]), []);
    assert_eq!(signs(&[first, second, second]), [Sign::Stale { position: 2, of: 1 }]);
    assert_eq!(signs(&[first, second, [0.0; 8]])[0], Sign::Unwritten { position: 2 });
    assert_eq!(signs(&[first, second, key(3.0)]), [Sign::Turned { by: 1 }]);
    assert_eq!(signs(&[first, second, key(0.5 + 1.0)]), []);
    assert_eq!(signs(&[third, second, third]), [Sign::Overwritten { position: 0 }]);
    let mut one = third;
    one[5] *= 1.1;
    assert_eq!(signs(&[first, second, one]), [Sign::OneHead { head: 1 }]);
    let half = third.map(|value| half::f16::from_f32(value).to_f32());
    assert_eq!(
        signs(&[first, second, half]),
        [Sign::Stored { format: crate::tensor::Format::F16 }]
    );
}
