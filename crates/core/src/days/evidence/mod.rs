//! Which requests make memory grow: counts by endpoint and half hour, and the fit of growth on them.
//!
//! - `segments` splits a path, `shape` tells words of routes from varying text, and `templates` learns an
//!   app's endpoints from its paths; `words` finds the places of their words, and `candidates` has the words
//!   that may become part of one.
//! - `paths` puts a batch's paths aside; `counts` counts an app's requests as they come, `pack` makes half an
//!   hour of them small, and `ledger` holds those of days.
//! - `growth_rows` has the growth of the floors of memory beside the requests in between, `fit` explains it,
//!   and `suspects` says what may be said of it.
//!
//! Nothing acts on it. A path is a user's own data: of a segment that is no word of a route, only its kind is
//! kept, and of a query nothing.

mod candidates;
pub mod counts;
pub mod fit;
pub mod growth_rows;
pub mod ledger;
pub mod method;
pub mod pack;
pub mod paths;
mod segments;
pub mod shape;
pub mod suspects;
pub mod templates;
mod words;
