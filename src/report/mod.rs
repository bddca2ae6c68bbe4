//! One document, many renderers. A renderer sees nothing but the document.

mod cases;
mod cut_text;
mod document;
mod shrink;
mod text;
mod walk_text;

pub use cases::{
    CASES_SCHEMA, CaseReport, CaseStatus, CaseTargetReport, CasesReport, cases_junit, cases_list,
    cases_text,
};
pub use document::{
    InputReport, ModelReport, OutputReport, Report, SCHEMA, TargetReport, ToolReport,
};
pub use shrink::{ShrinkFeed, ShrinkReport, shrink_markdown, shrink_text};
pub use text::{Paint, diff_text, evidence_text, run_text};
pub use walk_text::walk_text;
