//! The connections that a server has now.

use crate::Address;
use crate::server::Limits;
use rustix::net::Shutdown as How;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking thread left is whole: no lock here is held across anything that could leave it half-done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hold on a connection from outside of its handler.
pub(crate) trait Grip: Send {
    /// The server is stopping; told again and again.
    fn stop(&self) {}
    /// Nothing more is to be read: the handler meets the end of the stream.
    fn end_input(&self);
    /// Ends the connection at once, whatever the handler is doing.
    fn cut(&self);
}

/// A hold on a socket of this process.
pub(crate) struct SocketGrip(pub(crate) RawFd);

impl SocketGrip {
    fn shutdown(&self, how: How) {
        // SAFETY: an entry lets go of its grip before the descriptor is closed, under the lock that is held here.
        #[allow(unsafe_code)]
        let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
        // A socket that is no longer connected needs no shutdown.
        let _ = rustix::net::shutdown(fd, how);
    }
}

impl Grip for SocketGrip {
    fn end_input(&self) {
        self.shutdown(How::Read);
    }

    fn cut(&self) {
        self.shutdown(How::Both);
    }
}

/// The bytes of a connection.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}

/// A connection as seen from outside. What each message touches stands first, in one line of the cache.
#[repr(C, align(64))]
pub(crate) struct Entry {
    own: Counts,
    /// Where the bytes are counted instead: in memory that several processes share.
    elsewhere: OnceLock<&'static Counts>,
    /// How much had been sent when a send last had to wait.
    stalled_at: AtomicU64,
    /// The handler's last word with its link was a wait for the peer to say something.
    listening: AtomicBool,
    stopping: AtomicBool,
    leaving: AtomicBool,
    input_ended: AtomicBool,
    cut: AtomicBool,
    called: AtomicBool,
    pub(crate) id: u64,
    pub(crate) peer: Address,
    grip: Mutex<Option<Box<dyn Grip>>>,
}

impl Entry {
    pub(crate) fn new(id: u64, peer: Address) -> Arc<Self> {
        Arc::new(Entry {
            id,
            peer,
            own: Counts::default(),
            elsewhere: OnceLock::new(),
            listening: AtomicBool::new(false),
            stalled_at: AtomicU64::new(u64::MAX),
            stopping: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            input_ended: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            called: AtomicBool::new(false),
            grip: Mutex::new(None),
        })
    }

    fn counts(&self) -> &Counts {
        self.elsewhere.get().copied().unwrap_or(&self.own)
    }

    /// From now on, and before anything was counted, the bytes are counted there.
    pub(crate) fn count_in(&self, counts: &'static Counts) {
        let _ = self.elsewhere.set(counts);
    }

    /// See [`count_in`](Self::count_in).
    pub(crate) fn counted_in(&self) -> Option<&'static Counts> {
        self.elsewhere.get().copied()
    }

    // One thread counts, others only look: a plain store is enough and costs no locked instruction.
    #[inline]
    pub(crate) fn count_received(&self, bytes: usize) {
        let count = &self.counts().received;
        count.store(
            count.load(Ordering::Relaxed).wrapping_add(bytes as u64),
            Ordering::Relaxed,
        );
        self.hear();
    }

    /// The handler has something to do.
    #[inline]
    pub(crate) fn hear(&self) {
        self.listening.store(false, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn count_sent(&self, bytes: usize) {
        let count = &self.counts().sent;
        count.store(
            count.load(Ordering::Relaxed).wrapping_add(bytes as u64),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn received(&self) -> u64 {
        self.counts().received.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.counts().sent.load(Ordering::Relaxed)
    }

    /// A receive has to wait for the peer to say something.
    #[inline]
    pub(crate) fn listen(&self) {
        self.listening.store(true, Ordering::Relaxed);
    }

    /// A send has to wait for the peer to take what was sent before.
    pub(crate) fn stall(&self) {
        self.stalled_at.store(self.sent(), Ordering::Relaxed);
    }

    /// The handler is through; the connection takes its leave by itself.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether the handler waits for the peer to say something. One that computes for long hasn't seen yet what the peer
    /// said. To end the input of one that is sending, or takes its leave, would only make what is under way to it arrive
    /// at a closed socket and reset the connection.
    fn listens(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
            && !self.leaving.load(Ordering::Acquire)
            && self.stalled_at.load(Ordering::Relaxed) != self.sent()
    }

    /// Whether it was this side that ended the input.
    pub(crate) fn input_ended(&self) -> bool {
        self.input_ended.load(Ordering::Acquire)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// From a signal's handler: there is something to look for.
    pub(crate) fn call(&self) {
        self.called.store(true, Ordering::Release);
    }

    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    /// Hands over a hold, unless there is one; a connection that has been stopped or cut meanwhile is so now.
    pub(crate) fn hold(&self, grip: impl FnOnce() -> Box<dyn Grip>) {
        let mut held = lock(&self.grip);
        let grip = held.get_or_insert_with(grip);
        if self.is_stopping() {
            grip.stop();
        }
        if self.is_cut() {
            grip.cut();
        }
    }

    /// Takes the hold away: to be called before the descriptor is closed.
    pub(crate) fn let_go(&self) {
        lock(&self.grip).take();
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(grip) = &*lock(&self.grip) {
            grip.stop();
        }
    }

    /// Ends the input of a handler that waits for some.
    pub(crate) fn end_input(&self) {
        if !self.listens() {
            return;
        }
        self.input_ended.store(true, Ordering::Release);
        if let Some(grip) = &*lock(&self.grip) {
            grip.end_input();
        }
    }

    pub(crate) fn cut(&self) {
        self.stop();
        self.cut.store(true, Ordering::Release);
        if let Some(grip) = &*lock(&self.grip) {
            grip.cut();
        }
    }
}

#[derive(Default)]
struct Books {
    entries: HashMap<u64, Arc<Entry>>,
    per_source: HashMap<IpAddr, usize>,
    last_id: u64,
}

#[derive(Default)]
pub(crate) struct Registry {
    books: Mutex<Books>,
    left: Notify,
}

/// Who somebody is to [`Limits::per_address`].
fn source(peer: &Address) -> Option<IpAddr> {
    let ip = peer.ip()?.to_canonical();
    // A local proxy or a test tool stands for many people.
    if ip.is_loopback() {
        return None;
    }
    Some(match ip {
        IpAddr::V4(_) => ip,
        // The host's half of it is the host's to choose, as often as it likes (RFC 8981).
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    })
}

impl Registry {
    /// Books a newcomer, or says which limit it meets.
    pub(crate) fn admit(&self, peer: Address, limits: &Limits) -> Result<Arc<Entry>, (Address, String)> {
        let mut books = lock(&self.books);
        if let Some(ip) = source(&peer) {
            let count = books.per_source.entry(ip).or_default();
            if *count >= limits.per_address {
                let why = format!(
                    "{} connections from one address are the limit",
                    limits.per_address
                );
                return Err((peer, why));
            }
            *count += 1;
        }
        books.last_id += 1;
        let entry = Entry::new(books.last_id, peer);
        books.entries.insert(entry.id, entry.clone());
        Ok(entry)
    }

    pub(crate) fn remove(&self, entry: &Entry) {
        let mut books = lock(&self.books);
        if books.entries.remove(&entry.id).is_none() {
            return;
        }
        if let Some(ip) = source(&entry.peer)
            && let Some(count) = books.per_source.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                books.per_source.remove(&ip);
            }
        }
        drop(books);
        self.left.notify_waiters();
    }

    /// Forgets all but one: the others are another process'. They aren't even dropped, for a forked process copies each
    /// page that it writes to.
    pub(crate) fn keep_only(&self, entry: &Arc<Entry>) {
        let own = HashMap::from([(entry.id, entry.clone())]);
        let _others = ManuallyDrop::new(std::mem::replace(&mut lock(&self.books).entries, own));
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.books).entries.len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        lock(&self.books).entries.values().cloned().collect()
    }

    /// Waits until fewer than `count` connections are left.
    pub(crate) async fn below(&self, count: usize) {
        loop {
            let left = self.left.notified();
            if self.len() < count {
                return;
            }
            left.await;
        }
    }

    /// Waits until the next connection leaves.
    pub(crate) async fn next_leave(&self) {
        self.left.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn from(ip: &str) -> Address {
        Address::Inet(format!("{ip}:1234").parse().expect("an address"))
    }

    fn two_per_address() -> Limits {
        Limits {
            per_address: 2,
            ..Limits::default()
        }
    }

    #[test]
    fn an_address_has_its_share_and_others_have_theirs() {
        let (registry, limits) = (Registry::default(), two_per_address());
        let first = registry.admit(from("192.0.2.1"), &limits).expect("room");
        registry.admit(from("192.0.2.1"), &limits).expect("room");
        let (peer, why) = registry.admit(from("192.0.2.1"), &limits).err().expect("no room");
        assert_eq!(peer, from("192.0.2.1"));
        assert_eq!(why, "2 connections from one address are the limit");
        registry
            .admit(from("192.0.2.2"), &limits)
            .expect("another's room");
        registry.remove(&first);
        registry.remove(&first); // once is enough
        registry.admit(from("192.0.2.1"), &limits).expect("room again");
        assert!(registry.admit(from("192.0.2.1"), &limits).is_err());
        assert_eq!(registry.len(), 3);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let (registry, limits) = (Registry::default(), two_per_address());
        let first = registry.admit(from("[2001:db8:0:1::1]"), &limits).expect("room");
        registry
            .admit(from("[2001:db8:0:1:ffff::2]"), &limits)
            .expect("room");
        assert!(registry.admit(from("[2001:db8:0:1::3]"), &limits).is_err());
        registry
            .admit(from("[2001:db8:0:2::1]"), &limits)
            .expect("another network's room");
        registry.remove(&first);
        registry
            .admit(from("[2001:db8:0:1::3]"), &limits)
            .expect("room again");
        // The same IPv4 address, however the socket tells it.
        for ip in ["192.0.2.1", "[::ffff:192.0.2.1]"] {
            registry.admit(from(ip), &limits).expect("room");
        }
        assert!(registry.admit(from("[::ffff:192.0.2.1]"), &limits).is_err());
    }

    #[test]
    fn this_machine_stands_for_many() {
        let (registry, limits) = (Registry::default(), two_per_address());
        for ip in ["127.0.0.1", "127.8.9.10", "[::1]", "[::ffff:127.0.0.1]"] {
            for _ in 0..5 {
                registry.admit(from(ip), &limits).expect("no limit");
            }
        }
        for _ in 0..5 {
            registry.admit(Address::Unix(None), &limits).expect("no limit");
        }
    }

    #[test]
    fn whoever_waits_for_room_is_told_of_each_leave() {
        let (registry, limits) = (Registry::default(), Limits::default());
        let entries = [(); 3].map(|()| registry.admit(from("192.0.2.1"), &limits).expect("room"));
        let waited = crate::block_on(async {
            let leaves = async { entries.iter().for_each(|entry| registry.remove(entry)) };
            tokio::join!(registry.below(1), registry.next_leave(), leaves);
        });
        waited.expect("the model runs");
        assert_eq!(registry.len(), 0);
    }

    #[derive(Default)]
    struct Pulls {
        ended: AtomicUsize,
        cut: AtomicUsize,
    }

    impl Grip for Arc<Pulls> {
        fn end_input(&self) {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }

        fn cut(&self) {
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn held() -> (Arc<Entry>, Arc<Pulls>) {
        let (entry, pulls) = (Entry::new(1, from("192.0.2.1")), Arc::<Pulls>::default());
        entry.hold(|| Box::new(pulls.clone()));
        (entry, pulls)
    }

    #[test]
    fn only_who_listens_meets_the_end_of_input() {
        let (entry, pulls) = held();
        entry.end_input();
        assert_eq!(pulls.ended.load(Ordering::Relaxed), 0, "it has yet to begin");
        entry.listen();
        entry.count_received(10);
        entry.end_input();
        assert_eq!(pulls.ended.load(Ordering::Relaxed), 0, "it computes");
        entry.listen();
        entry.count_sent(10);
        entry.stall();
        entry.end_input();
        assert_eq!(pulls.ended.load(Ordering::Relaxed), 0, "it is sending");
        entry.count_sent(10);
        entry.end_input();
        assert_eq!(pulls.ended.load(Ordering::Relaxed), 1);
        assert!(entry.input_ended());
        entry.leave();
        entry.end_input();
        assert_eq!(pulls.ended.load(Ordering::Relaxed), 1, "it takes its leave");
    }

    #[test]
    fn a_cut_reaches_whoever_is_held_now_or_later() {
        let (entry, pulls) = held();
        entry.cut();
        assert_eq!(pulls.cut.load(Ordering::Relaxed), 1);
        entry.let_go();
        entry.cut();
        assert_eq!(pulls.cut.load(Ordering::Relaxed), 1, "nobody holds it");
        entry.hold(|| Box::new(pulls.clone()));
        assert_eq!(pulls.cut.load(Ordering::Relaxed), 2);
    }
}
