//! The steps of a long verb, and how long each took.
//!
//! Not here: what the steps do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Steps in the order they ran.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Runs one step, naming it before and keeping its time.
    ///
    /// # Errors
    /// Those of the step, with its name; the times so far are printed.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        eprintln!("==> {name}");
        let started = now();
        let result = step();
        self.done.push((name, now().duration_since(started)));
        if result.is_err() {
            self.print();
        }
        result.with_context(|| format!("step `{name}` failed"))
    }

    /// Prints the time of each step and of all.
    pub(crate) fn print(&self) {
        eprintln!("{}", self.table());
    }

    fn table(&self) -> String {
        let total = self.done.iter().map(|(_, time)| *time).sum();
        let rows = self.done.iter().map(|(name, time)| row(name, *time));
        rows.chain([row("total", total)])
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn row(name: &str, time: Duration) -> String {
    format!("  {name:<16} {:>8.1} s", time.as_secs_f64())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the times are for a person; nothing is decided"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_counted() {
        let mut steps = Steps::default();
        assert_eq!(steps.run("first", || Ok(1)).ok(), Some(1));
        let error = steps.run("second", || anyhow::bail!("broken") as Result<()>);
        let text = format!("{:#}", error.expect_err("it failed"));
        assert_eq!(text, "step `second` failed: broken");
        let table = steps.table();
        assert_eq!(table.lines().count(), 3, "{table}");
    }
}
