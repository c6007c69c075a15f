//! The ratios as a bar chart: one bar a benchmark, on a logarithmic scale, with the other emulators as marks.

use super::measure::Report;
use super::rows::Group;
use std::fmt::Write as _;

const LEFT: f64 = 150.0;
const WIDTH: f64 = 640.0;
const STEP: f64 = 18.0;
/// The scale's ends, as ratios.
const SCALE: (f64, f64) = (0.5, 512.0);

fn x(ratio: f64) -> f64 {
    let (from, to) = (SCALE.0.ln(), SCALE.1.ln());
    LEFT + WIDTH * ((ratio.max(SCALE.0).min(SCALE.1).ln() - from) / (to - from))
}

/// Marks: side, colour, name.
const MARKS: [(&str, &str, &str); 3] = [("ordered", "#1f4e79", "xemu, ordered"), ("qemu", "#c0392b", "QEMU"), ("box64", "#e08e0b", "Box64")];

/// The chart.
pub fn svg(report: &Report) -> String {
    let groups: Vec<_> = [Group::Kernel, Group::Program, Group::System].map(|g| (g, report.rows.iter().filter(|r| r.group == g.title() && r.ratio("xemu").is_some()).collect::<Vec<_>>())).into();
    let lines: usize = groups.iter().map(|g| g.1.len() + 1).sum();
    let height = 60.0 + STEP * lines as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        LEFT + WIDTH + 20.0
    );
    let _ = writeln!(text, "<text x=\"10\" y=\"16\">executed instructions, native arm64 = 1 (bar: xemu)</text>");
    for (i, (_, colour, name)) in MARKS.iter().enumerate() {
        let at = 370.0 + 130.0 * i as f64;
        let _ = writeln!(text, "<circle cx=\"{at}\" cy=\"12\" r=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"16\">{name}</text>", at + 8.0);
    }
    for tick in [1u32, 2, 4, 8, 16, 32, 64, 128, 256] {
        let at = x(tick.into());
        let _ = writeln!(text, "<line x1=\"{at:.1}\" y1=\"38\" x2=\"{at:.1}\" y2=\"{height}\" stroke=\"{}\"/><text x=\"{at:.1}\" y=\"34\" text-anchor=\"middle\" fill=\"#666\">{tick}</text>", if tick == 1 { "#888" } else { "#ddd" });
    }
    let mut y = 44.0;
    for (group, rows) in groups {
        let _ = writeln!(text, "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{}</text>", y + 12.0, group.title());
        y += STEP;
        for row in rows {
            let ratio = row.ratio("xemu").unwrap_or(1.0);
            let (a, b) = (x(1.0).min(x(ratio)), x(1.0).max(x(ratio)));
            let _ = writeln!(text, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, y + 12.0, row.name);
            let _ = writeln!(text, "<rect x=\"{a:.1}\" y=\"{}\" width=\"{:.1}\" height=\"12\" fill=\"#5b9bd5\"><title>{ratio:.2}</title></rect>", y + 2.0, (b - a).max(1.0));
            for (side, colour, name) in MARKS {
                if let Some(r) = row.ratio(side) {
                    let _ = writeln!(text, "<circle cx=\"{:.1}\" cy=\"{}\" r=\"4\" fill=\"{colour}\"><title>{name} {r:.2}</title></circle>", x(r), y + 8.0);
                }
            }
            y += STEP;
        }
    }
    text + "</svg>\n"
}
