//! What the daemon tells of itself: one view of its state, as JSON ([`view`]), as Prometheus
//! metrics (`metrics`) and as a table for people ([`table`]); and the [`proxy`] beside it.
//!
//! The view is made for readers; the daemon's own types stay inside.

mod collect;
mod metrics;
pub mod proxy;
mod routers;
pub mod table;
pub mod view;

use daemon::http::Response;

use crate::engine::Engine;

pub use view::Status;

/// Answers an HTTP request for `path`; `None` where there is nothing of that name.
pub fn answer(engine: &mut Engine, path: &str) -> Option<Response> {
    match path {
        "/healthz" => Some(Response::text("ok\n")),
        "/status" => Some(told(collect::status(engine).and_then(|status| {
            serde_json::to_vec(&status)
                .map(Response::json)
                .map_err(|error| error.to_string())
        }))),
        "/metrics" => Some(told(collect::status(engine).map(metrics::response))),
        _ => None,
    }
}

/// An answer, or why there is none.
fn told(answer: Result<Response, String>) -> Response {
    answer.unwrap_or_else(|error| Response::text(format!("{error}\n")).status(500))
}
