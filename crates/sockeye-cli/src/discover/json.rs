//! What was found, for programs: docs/discovery.md.

use serde_json::{Map, Value, json};
use sockeye_services::discovery::{Instance, ServiceType};

use crate::hex::hex;
use crate::terminal::json_line;

/// One of them, and what has become of it.
pub(super) fn line(event: Option<&str>, one: &Instance) -> String {
    let facts = one.facts();
    let addresses = one.addresses.iter().map(|found| {
        json!({
            "address": found.address.to_string(),
            "interface": found.interface,
            "endpoint": one.endpoint_at(found).to_string(),
        })
    });
    let text = |value: &[u8]| Value::from(String::from_utf8_lossy(value).into_owned());
    let txt: Map<String, Value> = one
        .txt
        .iter()
        .map(|(key, value)| (key.clone(), text(value)))
        .collect();
    let mut object = json!({
        "name": one.name,
        "service": one.kind.service(),
        "type": one.kind.to_string(),
        "host": one.host,
        "port": one.port,
        "endpoint": one.endpoint().ok().map(|endpoint| endpoint.to_string()),
        "addresses": addresses.collect::<Vec<_>>(),
        "txt": txt,
    });
    if one.kind.service().is_some() {
        object["tls"] = facts.tls.into();
        object["fingerprint"] = facts.fingerprint.map(|fingerprint| hex(&fingerprint)).into();
        object["auth"] = facts.auth.into();
        object["encoding"] = facts.encoding.into();
        object["version"] = facts.version.into();
    }
    if let Some(event) = event {
        object["event"] = event.into();
    }
    json_line(&object)
}

/// A type alone.
pub(super) fn of_type(kind: &ServiceType) -> String {
    json_line(&json!({"type": kind.to_string(), "service": kind.service()}))
}
