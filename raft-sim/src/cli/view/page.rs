//! The page: one file, which holds the simulator for WebAssembly and all else that the page needs.
//!
//! `raft-sim/view` has its sources, and `npm run build` there makes it. It is in the repository, so
//! that nobody needs these tools to build `raft-sim`. [`page`] writes into it what to run, and the
//! digest of the native run: the page says so if its own run has another one.

use raft_sim::view::Source;
use serde::Serialize;

/// The page without anything to run.
const TEMPLATE: &str = include_str!("../../../view/dist/view.html");

/// Where in the template what to run stands.
const MARK: &str = "/*REQUEST*/";

/// What is written into the page.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PageRequest {
    /// What the page runs.
    pub(super) source: Source,
    /// The digest that the native run has.
    pub(super) digest: String,
}

/// The page that runs what is asked for.
pub(super) fn page(request: &PageRequest) -> String {
    // Text, numbers and lists: JSON can express all of it.
    let json = serde_json::to_string(request).unwrap_or_default();
    // In a page, `</script` would end the JSON.
    TEMPLATE.replacen(MARK, &json.replace('<', "\\u003c"), 1)
}
