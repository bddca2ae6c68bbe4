//! One document, many renderers. A renderer sees only the document.

mod agree;
mod audit;
mod bench_text;
mod cases;
mod changes;
mod checks;
mod conformance;
mod cut_text;
mod decode;
mod document;
mod drawing;
mod element;
mod fallback;
mod fallback_text;
mod forms;
mod github;
mod html;
mod judging;
mod junit;
mod markdown;
mod matrix;
mod model_explorer;
mod node_notes;
mod notes;
mod printable;
mod privacy;
mod quantised;
mod reading;
mod remarks;
mod replay;
mod saved_text;
mod schema;
mod shrink;
mod shrink_html;
mod spans;
mod text;
mod versions;
mod walk_text;
mod weights;

pub use agree::{Pictures, agree_html, agree_markdown, agree_text};
pub use audit::{audit_html, audit_markdown, audit_text};
pub use bench_text::bench_text;
pub use cases::{
    CASES_SCHEMA, CaseReport, CaseStatus, CaseTargetReport, CasesReport, cases_junit, cases_list,
    cases_text,
};
pub use changes::{changes_between, changes_text};
pub use conformance::{conformance_markdown, conformance_text};
pub use decode::{decode_html, decode_markdown, decode_text};
pub use document::{
    BegunReport, EnvironmentReport, InputReport, JudgedAgain, JudgedBy, ModelReport, OutputReport,
    Report, SCHEMA, TargetReport, ToolReport, VersionReport, VersionsReport,
};
pub use fallback_text::fallback_text;
pub use forms::Form;
pub use html::report_html;
pub use judging::judge_again;
pub use junit::report_junit;
pub use markdown::report_markdown;
pub(crate) use matrix::plural;
pub use matrix::{matrix_html, matrix_markdown, matrix_text};
pub use node_notes::node_notes;
pub use printable::printable;
pub use privacy::{without_home, without_private_paths};
pub use quantised::{quantised_html, quantised_markdown, quantised_text};
pub use reading::{ReadError, read_report};
pub use replay::{ReplayReport, Sameness, replay_text};
pub use saved_text::report_text;
pub use schema::report_schema;
pub use shrink::{ShrinkFeed, ShrinkReport, shrink_markdown, shrink_text};
pub use shrink_html::shrink_html;
pub use text::{Paint, diff_text, evidence_text, run_text};
pub use versions::versions_text;
pub use walk_text::walk_text;
