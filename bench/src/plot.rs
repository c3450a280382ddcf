//! Pictures for docs/performance.md: bars on a logarithmic scale, with the spread of the rounds, readable on light and
//! dark ground.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::number;
use crate::sample::{Results, Spread, Work};
use crate::server::Server;

struct Picture {
    file: &'static str,
    work: Work,
    figure: &'static str,
    title: &'static str,
}

const fn picture(
    file: &'static str,
    work: Work,
    figure: &'static str,
    title: &'static str,
) -> Picture {
    Picture {
        file,
        work,
        figure,
        title,
    }
}

const PICTURES: &[Picture] = &[
    picture(
        "kernel",
        Work::Kernel,
        "per_second",
        "Renewals answered in the kernel, per second (more is better)",
    ),
    picture(
        "renew-cpu",
        Work::Renew,
        "cpu_us",
        "CPU of the server for a renewal, in µs (less is better)",
    ),
    picture(
        "loop",
        Work::Loop,
        "per_second",
        "Renewals per second, 64 outstanding, one sender (more is better)",
    ),
    picture(
        "loop-p99",
        Work::Loop,
        "renew_p99_us",
        "Renewals, 64 outstanding: p99 in µs (less is better)",
    ),
    picture(
        "alone",
        Work::Alone,
        "renew_p50_us",
        "One client alone: median time to the ACK, in µs (less is better)",
    ),
    picture(
        "bind",
        Work::Bind,
        "per_second",
        "New clients bound per second, 64 at a time (more is better)",
    ),
    picture(
        "bind-cpu",
        Work::Bind,
        "cpu_us",
        "CPU of the server for a new client, in µs (less is better)",
    ),
    picture(
        "bind-p99",
        Work::Bind,
        "bind_p99_us",
        "DISCOVER to ACK, 64 at a time: p99 in µs (less is better)",
    ),
    picture(
        "storm",
        Work::Storm,
        "seconds",
        "All boot at once: seconds until the last answer (less is better)",
    ),
];

/// Writes those that there are figures for, and tells which.
pub fn write(directory: &Path, results: &Results) -> Result<Vec<String>> {
    fs::create_dir_all(directory)?;
    let mut written = Vec::new();
    for picture in PICTURES {
        let bars = bars(results, picture);
        if bars.is_empty() {
            continue;
        }
        let path = directory.join(format!("{}.svg", picture.file));
        fs::write(&path, svg(picture.title, &bars)).with_context(|| path.display().to_string())?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

struct Bar {
    label: String,
    server: Server,
    spread: Spread,
    /// What has to be known of it.
    note: String,
}

fn bars(results: &Results, picture: &Picture) -> Vec<Bar> {
    let of_work = results.of_work(picture.work);
    let bars = of_work.filter_map(|(subject, figures)| {
        let clients = match subject.clients {
            0 => String::new(),
            clients => format!(", {}", number(clients.into())),
        };
        let unserved = figures.get("unserved").map_or(0.0, |left| left.median);
        Some(Bar {
            label: format!("{}{clients}", subject.server.name()),
            server: subject.server,
            spread: *figures.get(picture.figure)?,
            note: if unserved > 0.0 {
                format!(", {} never served", number(unserved))
            } else {
                String::new()
            },
        })
    });
    bars.filter(|bar| bar.spread.median > 0.0).collect()
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
/// Room for the figure behind the longest bar.
const RIGHT: f64 = 190.0;
const TOP: f64 = 44.0;
const STEP: f64 = 26.0;
const THICK: f64 = 16.0;

/// The colours are told apart by those who see few of them, too.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:14px}\
.axis{stroke:#8c959f;stroke-width:.5}.tick{font-size:11px;fill:#59636e}.spread{stroke:#1f2328;stroke-width:1.5}\
.ours{fill:#0969da}.peer{fill:#9a6700}.limit{fill:#6e7781}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.tick{fill:#9198a1}.spread{stroke:#e6edf3}\
.ours{fill:#4493f8}.peer{fill:#d29922}.limit{fill:#8b949e}}";

/// Powers of ten from one below the least to one above the most.
struct Scale {
    least: i32,
    most: i32,
}

impl Scale {
    fn of(bars: &[Bar]) -> Self {
        let smallest = bars.iter().map(|bar| bar.spread.least.max(1e-3));
        let largest = bars.iter().map(|bar| bar.spread.most);
        let least = smallest.fold(f64::MAX, f64::min).log10().floor() as i32;
        let most = largest.fold(f64::MIN, f64::max).log10().ceil() as i32;
        Self {
            least,
            most: most.max(least + 1),
        }
    }

    fn x(&self, value: f64) -> f64 {
        let share =
            (value.max(1e-3).log10() - f64::from(self.least)) / f64::from(self.most - self.least);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}

fn svg(title: &str, bars: &[Bar]) -> String {
    let (scale, bottom) = (Scale::of(bars), TOP + STEP * bars.len() as f64);
    let height = bottom + 24.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"8\" y=\"20\">{title}</text>\n"
    );
    for power in scale.least..=scale.most {
        let x = scale.x(10f64.powi(power));
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{x:.1} {}V{bottom}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            TOP - 8.0,
            bottom + 16.0,
            tick(power)
        );
    }
    for (place, one) in bars.iter().enumerate() {
        bar(&mut svg, &scale, TOP + STEP * place as f64, one);
    }
    svg + "</svg>\n"
}

fn tick(power: i32) -> String {
    if power < 0 {
        return format!("{:.*}", power.unsigned_abs() as usize, 10f64.powi(power));
    }
    if power < 2 {
        format!("{:.0}", 10f64.powi(power))
    } else {
        number(10f64.powi(power))
    }
}

fn bar(svg: &mut String, scale: &Scale, y: f64, bar: &Bar) {
    let class = match bar.server {
        Server::Xdhcpd => "ours",
        Server::Limit => "limit",
        _ => "peer",
    };
    let Spread {
        median,
        least,
        most,
        rounds,
    } = bar.spread;
    let (end, middle) = (scale.x(median), y + THICK / 2.0);
    let text = y + THICK - 3.0;
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>\
         <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{THICK}\" rx=\"2\"/>",
        LEFT - 8.0,
        bar.label,
        (end - LEFT).max(1.0)
    );
    let mut behind = end;
    if rounds > 1 {
        let (from, to) = (scale.x(least), scale.x(most));
        behind = to;
        let _ = writeln!(
            svg,
            "<path class=\"spread\" d=\"M{from:.1} {middle:.1}H{to:.1}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{text:.1}\">{}{}</text>",
        behind + 6.0,
        number(median),
        bar.note
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    #[test]
    fn a_longer_bar_is_more_and_stays_in_the_picture() {
        let samples = [
            Sample::of_bind(Server::Xdhcpd, 0, 50_000.0),
            Sample::of_bind(Server::Xdhcpd, 1, 70_000.0),
            Sample::of_bind(Server::KeaMulti, 0, 7_000.0),
        ];
        let wanted = PICTURES.iter().find(|picture| picture.file == "bind");
        let bars = bars(&Results::of(&samples), wanted.unwrap());
        let scale = Scale::of(&bars);
        assert_eq!((scale.least, scale.most), (3, 5));
        assert!(scale.x(7_000.0) < scale.x(60_000.0));
        assert_eq!(scale.x(1e9), WIDTH - RIGHT);
        assert_eq!(scale.x(0.0), LEFT);
        assert_eq!([-1, 0, 1, 3].map(tick), ["0.1", "1", "10", "1 000"]);
        let svg = svg("binds", &bars);
        assert!(svg.contains("60 000") && svg.contains("class=\"ours\"") && svg.contains("kea-mt"));
        assert_eq!(
            svg.matches("class=\"spread\"").count(),
            1,
            "one has two rounds"
        );
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn what_was_not_measured_has_no_picture() {
        let directory = std::env::temp_dir().join(format!("xdhcpd-plot-{}", std::process::id()));
        let written = write(
            &directory,
            &Results::of(&[Sample::of_bind(Server::Xdhcpd, 0, 5.0)]),
        );
        let files: Vec<_> = fs::read_dir(&directory).unwrap().flatten().collect();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!((written.unwrap().len(), files.len()), (1, 1));
        assert_eq!(files[0].file_name(), "bind.svg");
    }
}
