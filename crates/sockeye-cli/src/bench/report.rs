//! A page of the results: charts, tables and the machine's facts in one file that needs nothing from elsewhere.

mod chart;
mod markup;

use super::figures::{bytes, count, time};
use super::machine::Machine;
use super::plan::Plan;
use super::results::{Results, Row, Spread};
use super::table::{self, HEADS};
use chart::{Bars, Dots};
use markup::{escape, identifier};
use std::fmt::Write;

const STYLE: &str = include_str!("report/style.css");

/// The whole page.
pub(super) fn page(plan: &Plan, machine: &Machine, results: &Results) -> String {
    let mut body = String::new();
    for case in 0..plan.cases.len() {
        section(&mut body, plan, results, case);
    }
    let title = title(plan);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"generator\" content=\"sockeye {version}\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n<p>{summary}</p>\n{contents}</header>\n<main>\n{body}{notes}{facts}</main>\n</body>\n</html>\n",
        version = escape(machine.version),
        title = escape(&title),
        summary = summary(plan, results),
        contents = contents(plan),
        notes = notes(),
        facts = facts(plan, machine, results),
    )
}

fn title(plan: &Plan) -> String {
    match plan.contestants.as_slice() {
        [only] => format!("Echo measured: {}", only.name),
        all => format!("{} echo servers compared", all.len()),
    }
}

fn summary(plan: &Plan, results: &Results) -> String {
    let (rounds, cases) = (plan.rounds, plan.cases.len());
    let times = |count: usize, what: &str| match count {
        1 => format!("one {what}"),
        some => format!("{some} {what}s"),
    };
    let mut text = format!(
        "{}, {} of {} s each, the servers in turn within a round. Every byte that came back was compared with what was sent.",
        times(cases, "case"),
        times(rounds, "round"),
        plan.window.as_secs_f64()
    );
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if results.interrupted {
        text += " <strong>It was interrupted: some is missing.</strong>";
    }
    text
}

fn contents(plan: &Plan) -> String {
    if plan.cases.len() < 2 {
        return String::new();
    }
    let items = plan.cases.iter().map(|case| case.to_string());
    let items = items.map(|name| {
        format!(
            "<li><a href=\"#{}\">{}</a></li>",
            identifier(&name),
            escape(&name)
        )
    });
    format!(
        "<nav aria-label=\"Cases\"><ul>{}</ul></nav>\n",
        items.collect::<String>()
    )
}

/// A case: its charts, its remarks, its table.
fn section(page: &mut String, plan: &Plan, results: &Results, case: usize) {
    let name = plan.cases[case].to_string();
    let _ = writeln!(
        page,
        "<section id=\"{}\">\n<h2>{}</h2>",
        identifier(&name),
        escape(&name)
    );
    let measured: Vec<(&str, &Row)> = plan
        .contestants
        .iter()
        .zip(results.of_case(case))
        .filter(|(_, row)| !row.samples.is_empty())
        .map(|(contestant, row)| (contestant.name.as_str(), row))
        .collect();
    if measured.is_empty() {
        page.push_str("<p>Nothing was measured.</p>\n");
    } else {
        page.push_str("<div class=\"charts\">\n");
        page.push_str(&charts(&measured, &identifier(&name)));
        page.push_str("</div>\n");
    }
    let mut remarks: Vec<String> = plan
        .contestants
        .iter()
        .zip(results.of_case(case))
        .flat_map(|(contestant, row)| table::remarks(&contestant.name, row))
        .collect();
    remarks.extend(table::conditions(plan, results, case));
    if !remarks.is_empty() {
        let items = remarks.iter().map(|text| format!("<li>{}</li>", escape(text)));
        let _ = writeln!(page, "<ul class=\"remarks\">{}</ul>", items.collect::<String>());
    }
    page.push_str(&figures(plan, results, case));
    page.push_str("</section>\n");
}

fn charts(measured: &[(&str, &Row)], id: &str) -> String {
    let bars = |figure: fn(&Row) -> Option<Spread>| -> Vec<(&str, Option<Spread>)> {
        measured.iter().map(|(name, row)| (*name, figure(row))).collect()
    };
    let charts = [
        Bars {
            id: &format!("{id}-rate"),
            title: "Requests per second",
            better: "more is better",
            rows: bars(Row::rate),
            print: count,
            greatest_is_best: true,
        },
        Bars {
            id: &format!("{id}-cpu"),
            title: "Server CPU time per request",
            better: "less is better",
            rows: bars(Row::cpu),
            print: time,
            greatest_is_best: false,
        },
        Bars {
            id: &format!("{id}-memory"),
            title: "Server memory per connection",
            better: "less is better",
            rows: bars(Row::memory),
            print: bytes,
            greatest_is_best: false,
        },
    ];
    let [rate, cpu, memory] = charts.map(|chart| chart.figure());
    let dots = Dots {
        id: &format!("{id}-latency"),
        title: "Latency",
        better: "less is better, logarithmic",
        rows: measured
            .iter()
            .map(|(name, row)| {
                (
                    *name,
                    [0, 2, 3].map(|which| row.latency(which).map(|spread| spread.median)),
                )
            })
            .collect(),
        marks: ["p50", "p99", "p99.9"],
        print: time,
    };
    rate + &dots.figure() + &cpu + &memory
}

/// The table of a case, with all that the charts show and more.
fn figures(plan: &Plan, results: &Results, case: usize) -> String {
    let mut text = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All figures\">\n<table>\n<thead><tr>",
    );
    for head in HEADS {
        let _ = write!(text, "<th scope=\"col\">{head}</th>");
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for (index, contestant) in plan.contestants.iter().enumerate() {
        let row = results.row(case, index);
        let _ = write!(text, "<tr><th scope=\"row\">{}</th>", escape(&contestant.name));
        if row.samples.is_empty() {
            let why = if row.failed { "failed" } else { "left out" };
            let _ = writeln!(text, "<td colspan=\"9\" class=\"none\">{why}</td></tr>");
            continue;
        }
        for cell in table::cells(results, case, index) {
            let _ = write!(text, "<td>{}</td>", escape(&cell));
        }
        text.push_str("</tr>\n");
    }
    text + "</tbody>\n</table>\n</div>\n"
}

fn notes() -> String {
    "<section id=\"reading\">\n<h2>How to read this</h2>\n<ul>\n\
     <li>Every figure is the median over the rounds; the thin line through a bar reaches from the least to the greatest round. \
     The ratio compares servers within the same round, so a machine that drifts does not disturb it. Ratios that differ by less \
     than 15 % say nothing on a machine with other work to do.</li>\n\
     <li>CPU time per request is what the server's processes spent, threads and children included. It is steadier than requests \
     per second, for the load generator's core is often full first.</li>\n\
     <li>Latency is from the sending of a message to the last byte of its answer, in a closed loop: a slow server is asked less \
     often.</li>\n\
     <li>Memory per connection is what the server's processes grew by with all connections under load, divided by their number; \
     what forked processes have in common is split among them. Pages of files and the kernel's buffers are not in it.</li>\n\
     <li>Trouble: connections that broke (errors), brought other bytes than were sent (wrong) or got no answer (silent), over all \
     rounds; of datagrams the lost, late, doubled and reordered.</li>\n</ul>\n</section>\n"
        .to_owned()
}

fn facts(plan: &Plan, machine: &Machine, results: &Results) -> String {
    let list = |cores: &[usize]| cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let pinned = results.cores.as_ref().map_or("not chosen".to_owned(), |cores| {
        format!("servers {}; load {}", list(&cores.server), list(&cores.load))
    });
    let facts = [
        ("Processor", machine.cpu.clone()),
        ("Cores", machine.cores.to_string()),
        ("Pinned to cores", pinned),
        ("Memory", bytes(machine.memory_bytes as f64)),
        ("Kernel", machine.kernel.clone()),
        ("Load average before", format!("{:.2}", machine.load_average)),
        ("Date", machine.date.clone()),
        ("Sockeye", machine.version.to_owned()),
        (
            "Warm-up",
            format!("{} s before each measurement", plan.warm_up.as_secs_f64()),
        ),
        ("Command", machine.command.clone()),
    ];
    let mut text = String::from("<section id=\"machine\">\n<h2>The machine</h2>\n<dl>\n");
    for (name, value) in facts {
        let value = if name == "Command" {
            format!("<code>{}</code>", escape(&value))
        } else {
            escape(&value)
        };
        let _ = writeln!(text, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    text + "</dl>\n</section>\n"
}

#[cfg(test)]
mod tests;
