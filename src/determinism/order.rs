//! What the order of different results says about their cause.

/// The pattern in the results of consecutive runs, in words; `None` if all are the same. Results are numbered in the
/// order in which they came.
pub fn pattern(order: &[usize]) -> Option<String> {
    let (&first, later) = order.split_first()?;
    let others = later.iter().filter(|&&kind| kind != first).count();
    if others == 0 {
        return None;
    }
    let kinds = order.iter().max().map_or(0, |most| most + 1);
    if kinds == order.len() {
        return Some(
            "no two runs are the same: a race between threads, or memory that no kernel writes"
                .into(),
        );
    }
    if let Some((&second, rest)) = later.split_first()
        && rest.len() > 1
        && rest.iter().all(|&kind| kind == second)
    {
        return Some(
            "only the first run differs: later runs read what it left, or use kernels that were tuned in it"
                .into(),
        );
    }
    let usual = usual(order, kinds);
    let rare: Vec<usize> = (0..order.len()).filter(|&run| order[run] != usual).collect();
    let gaps: Vec<usize> = rare.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let runs = order.len();
    Some(match gaps.as_slice() {
        [gap, .., _] if gaps.iter().all(|other| other == gap) => {
            format!("every {} run differs: state that goes from run to run", ordinal(*gap))
        }
        _ => format!(
            "{} of {runs} runs differ, in no regular order: a race between threads, or memory that no kernel writes",
            rare.len()
        ),
    })
}

fn usual(order: &[usize], kinds: usize) -> usize {
    let count = |kind: usize| order.iter().filter(|&&other| other == kind).count();
    (0..kinds).rev().max_by_key(|&kind| count(kind)).unwrap_or(0)
}

fn ordinal(number: usize) -> String {
    match number {
        1 => String::new(),
        2 => "second".into(),
        3 => "third".into(),
        number => format!("{number}th"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_patterns() {
        let starts = |order: &[usize], words: &str| {
            let found = pattern(order).unwrap_or_default();
            assert!(found.starts_with(words), "{order:?}: {found}");
        };
        assert_eq!(pattern(&[]), None);
        assert_eq!(pattern(&[0, 0, 0]), None);
        starts(&[0, 1, 2, 3], "no two runs are the same");
        starts(&[0, 1, 1, 1], "only the first run differs");
        starts(&[0, 0, 1, 0, 0, 1, 0, 0, 1, 0], "every third run differs");
        starts(&[0, 1, 0, 0, 0, 1, 0, 2], "3 of 8 runs differ");
    }
}
