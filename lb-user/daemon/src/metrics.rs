//! A registry of metrics as the text that Prometheus reads.
//!
//! Not here: any metric. Each daemon names its own, in one place.

use prometheus_client::{encoding::text, registry::Registry};

use crate::http::Response;

/// What a scrape of `registry` is answered with.
#[must_use]
pub fn response(registry: &Registry) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, registry) {
        Ok(()) => Response {
            status: 200,
            content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
            body: body.into_bytes(),
        },
        // Writing into a string cannot fail; a metric of a caller's own making can.
        Err(error) => Response::text(format!("metrics cannot be encoded: {error}\n")).status(500),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{metrics::counter::Counter, registry::Registry};

    #[test]
    fn a_counter_is_told() {
        let mut registry = Registry::with_prefix("viaduct");
        let counter: Counter = Counter::default();
        registry.register("packets", "Packets seen", counter.clone());
        counter.inc_by(3);
        let response = super::response(&registry);
        assert_eq!(
            String::from_utf8(response.body).unwrap(),
            "# HELP viaduct_packets Packets seen.\n# TYPE viaduct_packets counter\n\
             viaduct_packets_total 3\n# EOF\n"
        );
    }
}
