//! Saved reports and matrices: what is read can be judged again and rendered, and no text in it
//! reaches a terminal or a page as anything but text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offby::compare::Tolerance;
use offby::matrix::{Matrix, read_matrix};
use offby::report::{self, Report};

fuzz_target!(|text: &str| {
    if let Ok(read) = report::read_report(text) {
        render(&read);
        render(&report::judge_again(read, Tolerance { atol: 1e-3, rtol: 1e-3, atol_typical: 0.0 }));
    }
    if let Ok(matrix) = read_matrix("matrix.json", text) {
        render_matrix(&matrix);
    }
});

fn render(read: &Report) {
    let plain = |_, text: &str| text.to_owned();
    for width in [40, 80] {
        check_terminal(&report::report_text(read, width, plain));
    }
    check_terminal(&report::evidence_text(read));
    let _ = report::report_markdown(read);
    check_page(&report::report_html(read));
    let _ = report::report_junit(read);
}

fn render_matrix(matrix: &Matrix) {
    let plain = |_, text: &str| text.to_owned();
    check_terminal(&report::matrix_text(matrix, 80, true, plain));
    let _ = report::matrix_markdown(matrix);
    check_page(&report::matrix_html(matrix));
}

/// Nothing in a file may move the cursor or colour the screen.
fn check_terminal(text: &str) {
    let text = report::printable(text);
    let strange = text.chars().find(|c| c.is_control() && !"\n\t\x1b".contains(*c));
    assert_eq!(strange, None, "a control character: {text:?}");
}

/// Nothing in a file may open or close a script.
fn check_page(page: &str) {
    let page = page.to_ascii_lowercase();
    assert!(page.matches("<script").count() <= 2 && page.matches("</script").count() <= 2, "{page}");
}
