//! The measurements run, and see what there is to see: whether they are right about speed is nobody's
//! to assert.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use tests::lab::find;

use crate::traces::Traces;

#[test]
fn the_datapath_bench_prints_its_table_and_writes_its_figures() -> Result<()> {
    tests::require!(root);
    prints_and_writes("datapath")
}

#[test]
fn the_limiter_bench_prints_its_table_and_writes_its_figures() -> Result<()> {
    prints_and_writes("limiter")
}

fn prints_and_writes(name: &str) -> Result<()> {
    let file = format!("viaduct-bench-{name}-{}.json", std::process::id());
    let json = std::env::temp_dir().join(file);
    let output = Command::new(find::program("viaduct-bench")?)
        .args([name, "--quick", "--json"])
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

#[test]
fn the_proxy_bench_measures_everybody_in_each_case_and_leaves_nobody_behind() -> Result<()> {
    tests::require!(root, tools, proxy, bench);
    let json = std::env::temp_dir().join(format!("viaduct-proxy-{}.json", std::process::id()));
    let mut bench = Command::new(find::program("viaduct-bench")?);
    bench.args(["proxy", "--quick", "--json"]).arg(&json);
    bench.stdout(Stdio::piped()).stderr(Stdio::piped());
    let bench = bench.spawn()?;
    let pid = bench.id();
    let output = bench.wait_with_output()?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{err}");
    let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(&json)?)?;
    std::fs::remove_file(&json)?;
    let rows = figures["rows"].as_array().context("no rows")?;
    assert_eq!(rows.len(), 20, "{out}");
    for row in rows {
        let case = row["case"].as_str().context("no name")?;
        assert!(out.contains(case), "{case} is not in the table:\n{out}");
        for figure in ["cpu_us_min", "requests_per_second", "p99_us", "syscalls"] {
            assert!(row[figure].as_f64() > Some(0.0), "{figure} of {row}");
        }
        let is_ours = row["contender"] == "viaduct";
        assert_eq!(row["to_best"].is_number(), is_ours, "{row}");
    }
    assert_eq!(figures["idle"].as_array().map(Vec::len), Some(5), "{out}");
    assert_eq!(Traces::of(&format!("{pid}-0"))?, Traces::default());
    Ok(())
}

#[test]
fn the_failover_bench_shows_what_a_client_saw_of_each_fault() -> Result<()> {
    tests::require!(root, tools, xdp, daemon, keepalived);
    let json = std::env::temp_dir().join(format!("viaduct-failover-{}.json", std::process::id()));
    let output = Command::new(find::program("viaduct-bench")?)
        .args([
            "failover",
            "--quick",
            "--idle",
            "--only",
            "keepalived: ",
            "--json",
        ])
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
    assert_eq!(rows.len(), 12, "{out}");
    for row in rows {
        let event = row["event"].as_str().context("no name")?;
        assert!(out.contains(event), "{event} is not in the table:\n{out}");
        assert_eq!(row["failures"].as_array().map(Vec::len), Some(0), "{row}");
        let [sample] = &row["samples"].as_array().context("no samples")?[..] else {
            panic!("not one sample: {row}");
        };
        match event {
            // The VIP is where nobody can reach it, until the other has it. (After a graceful stop it is gone,
            // and the client's kernel keeps echoes while it asks where to.)
            "node death" | "link down" | "partition" => {
                assert!(sample["lost"].as_u64() > Some(0), "{row}");
            }
            // Its host keeps the VIP: both answer from the takeover on.
            "kill -9" | "SIGSTOP" => assert!(sample["doubles"].as_u64() > Some(0), "{row}"),
            _ => {}
        }
    }
    Ok(())
}
