//! What was measured, as it is written to and read from `target/bench.json`.

use super::rows::{Group, Mean};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One side's run of one benchmark. What a machine can not count is absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measure {
    /// Executed AArch64 instructions of all processes, user mode.
    pub instructions: u64,
    /// Loads, stores; an atomic is both.
    pub loads: Option<u64>,
    pub stores: Option<u64>,
    /// DMB and DSB.
    pub barriers: Option<u64>,
    /// Loads and stores with acquire or release semantics.
    pub acquire_release: Option<u64>,
    /// Atomic read-modify-writes and exclusives.
    pub atomics: Option<u64>,
    /// Instructions outside the emulator's own binary: translated code.
    pub emitted: Option<u64>,
    /// System calls made, the emulator's own included.
    pub syscalls: Option<u64>,
    /// Minor page faults; under a host emulator, its own included.
    pub faults: Option<u64>,
    /// Resident memory in KiB: the peak on ARM64, what the process has mapped at its end under a host emulator.
    pub resident: Option<u64>,
    /// Wall-clock time in milliseconds, under a host emulator where there is one.
    pub wall: f64,
}

/// One benchmark's results.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub group: String,
    /// By side.
    pub sides: BTreeMap<String, Measure>,
    /// Sides that failed, and why.
    pub failed: BTreeMap<String, String>,
    /// Guest instructions that xemu translated.
    pub translated: Option<u64>,
}

/// All results of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The commit that was measured.
    pub commit: String,
    /// How instructions were counted.
    pub counter: String,
    pub rows: Vec<Row>,
}

impl Row {
    pub fn side(&self, side: &str) -> Option<&Measure> {
        self.sides.get(side)
    }

    /// Executed instructions of `side` relative to the native build's.
    pub fn ratio(&self, side: &str) -> Option<f64> {
        Some(self.side(side)?.instructions as f64 / self.side("native")?.instructions as f64)
    }

    /// Translated code alone relative to native.
    pub fn emitted_ratio(&self, side: &str) -> Option<f64> {
        Some(self.side(side)?.emitted? as f64 / self.side("native")?.instructions as f64)
    }

    /// Executed instructions per translated guest instruction that were not translated code.
    pub fn cost_of_translation(&self) -> Option<f64> {
        let xemu = self.side("xemu")?;
        Some((xemu.instructions - xemu.emitted?) as f64 / self.translated.filter(|n| *n > 0)? as f64)
    }
}

impl Report {
    /// Geometric mean over the rows of a group, and how many rows it is of.
    pub fn mean(&self, group: Group, mean: Mean) -> Option<(f64, usize)> {
        self.mean_of(group, |row| match mean {
            Mean::Whole => row.ratio("xemu"),
            Mean::Emitted => row.emitted_ratio("xemu"),
            Mean::Ordered => row.ratio("ordered"),
        })
    }

    /// Geometric mean of anything over the rows of a group.
    pub fn mean_of(&self, group: Group, of: impl Fn(&Row) -> Option<f64>) -> Option<(f64, usize)> {
        let values: Vec<f64> = self.rows.iter().filter(|r| r.group == group.title()).filter_map(of).filter(|v| *v > 0.0).collect();
        geomean(&values).map(|m| (m, values.len()))
    }
}

/// Geometric mean; of nothing there is none.
pub fn geomean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, native: u64, xemu: u64) -> Row {
        let measure = |n| Measure { instructions: n, emitted: Some(n / 2), ..Measure::default() };
        let sides = [("native".to_string(), measure(native)), ("xemu".to_string(), measure(xemu))].into();
        Row { name: name.into(), group: "kernels".into(), sides, translated: Some(10), ..Row::default() }
    }

    #[test]
    fn means_are_geometric_and_of_one_group() {
        let report = Report { rows: vec![row("a", 100, 100), row("b", 100, 400), Row { group: "system".into(), ..row("c", 1, 1000) }], ..Report::default() };
        assert_eq!(report.mean(Group::Kernel, Mean::Whole), Some((2.0, 2)));
        assert_eq!(report.mean(Group::Kernel, Mean::Emitted), Some((1.0, 2)));
        assert_eq!(report.mean(Group::Kernel, Mean::Ordered), None);
        assert_eq!(report.rows[1].cost_of_translation(), Some(20.0));
    }

    #[test]
    fn results_are_read_back() {
        let report = Report { rows: vec![row("a", 3, 7)], ..Report::default() };
        let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(again.rows[0].ratio("xemu"), Some(7.0 / 3.0));
    }
}
