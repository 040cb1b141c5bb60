//! A wait for much at once.
//!
//! A receiver that keeps up with its sender is woken for every few packets, and within a machine it is the sender who pays for that: waking
//! another core takes it longer than the packet did. So who waits for bytes of a file asks to be woken when there are many of them
//! (`SO_RCVLOWAT`, socket(7)); for a moment only, so a slow peer's bytes aren't kept waiting.

use super::Connection;
use super::transport::Transport;
use crate::address::Address;
use crate::buffer::RECEIVE;
use crate::model::{PIPE, Waits, Way};
use crate::options::raw;
use crate::time::Sleep;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How many bytes are waited for, if so many are due: what one step moves.
const MANY: usize = PIPE;

/// Fewer aren't worth the calls.
const FEW: usize = 64 << 10;

/// How long: a network of 1 Gb/s brings `MANY` in that time.
const MOMENT: Duration = Duration::from_millis(10);

/// A read timeout shorter than this is not to be filled with moments.
const SHORT: Duration = Duration::from_millis(100);

impl Connection {
    /// Polls until something has come, of which `due` bytes are sure to come.
    pub(super) async fn gathering<T>(
        &mut self,
        due: usize,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> T {
        let mut moment: Option<Sleep> = None;
        let mut wait = Waits::new(self, Way::Read);
        poll_fn(move |cx| {
            wait.poll(|conn| {
                let polled = poll(conn, cx);
                if polled.is_ready() {
                    conn.ask_for_any();
                    return polled;
                }
                if moment.is_none() && conn.ask_for_many(due) {
                    moment = Some(Sleep::new(MOMENT));
                }
                if let Some(moment) = &mut moment
                    && Pin::new(moment).poll(cx).is_ready()
                {
                    conn.ask_for_any();
                }
                polled
            })
        })
        .await
    }

    fn ask_for_many(&mut self, due: usize) -> bool {
        // TLS may have some of them already.
        let due = match self.transport {
            Transport::Plain(_) => due,
            _ => due.saturating_sub(RECEIVE),
        };
        let is_short = self.limits[0].is_some_and(|limit| limit < SHORT);
        // Unix sockets know no such wait.
        if due < FEW || is_short || !matches!(self.peer(), Address::Inet(_)) {
            return false;
        }
        self.gathers = self.set_low_water(due.min(MANY));
        self.gathers
    }

    /// The kernel looks whether that makes something ready (since Linux 4.18).
    pub(super) fn ask_for_any(&mut self) {
        if std::mem::take(&mut self.gathers) {
            self.set_low_water(1);
        }
    }

    fn set_low_water(&self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        raw::set_int(self.transport.fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, bytes).is_ok()
    }
}
