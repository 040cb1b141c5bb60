//! The interfaces, and what each can reach.

use serde_json::json;
use sockeye::Interface;

use crate::terminal;

/// Prints a table, or JSON: an array of objects.
pub(super) fn print(interfaces: &[Interface], as_json: bool) {
    let text = match as_json {
        true => {
            let all: Vec<_> = interfaces.iter().map(object).collect();
            format!("{}\n", json!(all))
        }
        false => table(interfaces),
    };
    terminal::print(&text);
}

fn object(interface: &Interface) -> serde_json::Value {
    let addresses = interface.addresses.iter().map(|address| {
        json!({
            "ip": address.ip.to_string(),
            "prefix": address.prefix,
            "broadcast": address.broadcast.map(|ip| ip.to_string()),
        })
    });
    json!({
        "name": interface.name,
        "index": interface.index,
        "up": interface.up,
        "loopback": interface.loopback,
        "point_to_point": interface.point_to_point,
        "multicast": interface.multicast,
        "groups": interface.reaches_groups(),
        "used": interface.is_usable(),
        "addresses": addresses.collect::<Vec<_>>(),
    })
}

const HEAD: [&str; 6] = ["interface", "number", "state", "groups", "address", "broadcast"];

/// A line for each address; what is the same for all of an interface stands in its first.
fn table(interfaces: &[Interface]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    for interface in interfaces {
        for (at, address) in interface.addresses.iter().enumerate() {
            let first = |text: String| if at == 0 { text } else { String::new() };
            rows.push([
                first(interface.name.clone()),
                first(interface.index.to_string()),
                first(state(interface).to_owned()),
                first(if interface.reaches_groups() { "yes" } else { "no" }.to_owned()),
                format!("{}/{}", address.ip, address.prefix),
                address.broadcast.map_or(String::new(), |ip| ip.to_string()),
            ]);
        }
    }
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let line = |row: &[String; HEAD.len()]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    rows.iter().map(line).collect()
}

/// Why it is used, or not.
fn state(interface: &Interface) -> &'static str {
    match interface {
        Interface { up: false, .. } => "down",
        Interface { loopback: true, .. } => "loopback",
        Interface {
            point_to_point: true, ..
        } => "point to point",
        _ => "up",
    }
}
