//! `daytime`: the date and the time as a line of text, then the close. RFC 867.
//!
//! It is also the tutorials' base server: it accepts, and closes; who came stands in the log.

use crate::auth::Login;
use crate::catalog::{Service, Starter};
use crate::shield::Answers;
use sockeye::{Connection, Handler, Packet, PacketHandler, Result};
use sockeye_proto::daytime::line;
use std::time::{SystemTime, UNIX_EPOCH};
use tz::TimeZone;

/// Its row in the [catalog](crate::catalog). The port of the RFC is 13, which only root may bind.
pub const SERVICE: Service = Service {
    name: "daytime",
    port: 8013,
    schemes: &["tcp", "udp"],
    keeps: false,
    login: Login::InFront,
    about: "says the date and the time (RFC 867)",
    try_stream: "{nc}",
    try_packets: "echo | {nc}",
    settings: &[],
    make: |settings| Ok(Starter::shielded(Daytime::local(), Answers::Everything, settings)),
};

/// Says the time of a time zone.
pub struct Daytime {
    zone: TimeZone,
}

impl Daytime {
    /// In the time zone of this machine: the variable `TZ`, or `/etc/localtime`; UTC where neither can be read.
    pub fn local() -> Self {
        let named = std::env::var("TZ")
            .ok()
            .and_then(|zone| TimeZone::from_posix_tz(&zone).ok());
        let zone = named.or_else(|| TimeZone::local().ok());
        Daytime {
            zone: zone.unwrap_or_else(TimeZone::utc),
        }
    }

    /// In UTC.
    pub fn utc() -> Self {
        Daytime {
            zone: TimeZone::utc(),
        }
    }

    /// The line for now; a clock before 1970 counts as 1970.
    fn now(&self) -> String {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let unix = i64::try_from(unix).unwrap_or(i64::MAX);
        // Beyond the rules of the zone there is still UTC.
        let offset = self
            .zone
            .find_local_time_type(unix)
            .map_or(0, |local| local.ut_offset());
        line(unix, offset)
    }
}

impl Handler for Daytime {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        conn.send(self.now()).await
    }
}

impl PacketHandler for Daytime {
    /// Whatever the datagram holds.
    async fn handle(&self, packet: Packet) -> Result<()> {
        packet.reply(self.now()).await
    }
}
