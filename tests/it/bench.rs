//! The measurements run: whether they are right about speed is nobody's to assert.

use std::process::Command;

use anyhow::{Context as _, Result};
use tests::lab::find;

#[test]
fn the_datapath_bench_prints_its_table_and_writes_its_figures() -> Result<()> {
    tests::require!(root);
    let json = std::env::temp_dir().join(format!("viaduct-bench-{}.json", std::process::id()));
    let output = Command::new(find::program("viaduct-bench")?)
        .args(["datapath", "--quick", "--json"])
        .arg(&json)
        .output()?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{err}");
    let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(&json)?)?;
    std::fs::remove_file(&json)?;
    let rows = figures["rows"].as_array().context("no rows")?;
    assert!(rows.len() > 10, "{} rows", rows.len());
    for row in rows {
        let case = row["case"].as_str().context("no name")?;
        assert!(out.contains(case), "{case} is not in the table:\n{out}");
        assert!(row["min_ns"].as_f64().context("no figure")? > 0.0);
    }
    Ok(())
}
