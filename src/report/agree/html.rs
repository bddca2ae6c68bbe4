//! A run over a data set as one page without scripts.

use super::{blame, facts, failed, kind, legend, remarks, sentence, table, title, worst_table};
use crate::agree::{Agree, Lane, MOST_WORST, Task};
use crate::report::html::{STYLE, escaped, fill, prose};
use crate::verdict::News;

const PAGE: &str = include_str!("page.html");

/// A run as HTML.
pub fn agree_html(agree: &Agree) -> String {
    let (titles, rows) = table(agree);
    fill(
        PAGE,
        &[
            ("title", &escaped(&title(agree))),
            ("style", STYLE),
            ("facts", &escaped(&facts(agree).join("; "))),
            ("table", &rendered(&titles, &rows)),
            ("legend", &escaped(&legend(agree))),
            (
                "targets",
                &agree.targets.iter().map(|lane| target(agree.task, lane)).collect::<String>(),
            ),
        ],
    )
}

/// A table whose first column holds names.
fn rendered(titles: &[&str], rows: &[Vec<String>]) -> String {
    let head: String =
        titles.iter().map(|title| format!("<th scope=\"col\">{}</th>", escaped(title))).collect();
    let row = |cells: &Vec<String>| {
        let mut line = String::from("<tr>");
        for (at, cell) in cells.iter().enumerate() {
            line.push_str(&match at {
                0 => format!("<th scope=\"row\"><code>{}</code></th>", escaped(cell)),
                _ => format!("<td>{}</td>", escaped(cell)),
            });
        }
        line + "</tr>\n"
    };
    let body: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )
}

fn target(task: Task, lane: &Lane) -> String {
    let class = match kind(lane).news() {
        News::Good => "good",
        News::Bad => "bad",
        News::None => "none",
    };
    let mut page = format!(
        "<section class=\"verdict {class}\"><h2><code>{}</code></h2>\n<p>{}.</p>\n",
        escaped(&lane.target),
        prose(&sentence(lane))
    );
    for remark in remarks(lane).into_iter().chain(failed(lane)) {
        page.push_str(&format!("<p class=\"soft\">{}</p>\n", prose(&remark)));
    }
    if let Some(found) = &lane.blame {
        page.push_str(&format!("<p>{}.</p>\n", prose(&blame(found))));
    }
    page.push_str("</section>\n");
    let (titles, rows) = worst_table(task, lane, MOST_WORST);
    if !rows.is_empty() {
        page.push_str(&format!("<h3>Worst inputs</h3>\n{}", rendered(&titles, &rows)));
    }
    page
}
