//! Signals among the processes of a server.

use crate::server::registry::Entry;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::gettid;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicUsize, Ordering};

/// What a child has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Drain,
    Cut,
}

/// How soon a child is told once more what it hasn't looked at.
const AGAIN: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

static TOLD: AtomicU8 = AtomicU8::new(0);
/// A child has looked since it was told something new.
static SEEN: AtomicBool = AtomicBool::new(false);
/// What tells a child once more: the number of its timer plus one, or none.
static TIMER: AtomicUsize = AtomicUsize::new(0);
/// A child's connection. What a child looks at after each wait stands there, beside what each message touches anyhow.
static OWN: AtomicPtr<Entry> = AtomicPtr::new(std::ptr::null_mut());
static DIED: AtomicI32 = AtomicI32::new(-1);

pub(super) fn told() -> Told {
    SEEN.store(true, Ordering::SeqCst); // before it is read: what is told meanwhile is told again
    match TOLD.load(Ordering::SeqCst) {
        0 => Told::Nothing,
        1 => Told::Drain,
        _ => Told::Cut,
    }
}

#[allow(unsafe_code)]
fn tell(what: u8) {
    if TOLD.fetch_max(what, Ordering::SeqCst) < what {
        SEEN.store(false, Ordering::SeqCst);
    }
    // SAFETY: it is null, or has been given away for as long as the process lives.
    if let Some(entry) = unsafe { OWN.load(Ordering::Acquire).as_ref() } {
        entry.call();
    }
    if !SEEN.load(Ordering::Acquire) {
        tell_again();
    }
}

/// A child that is about to block may have looked just before a signal, which then interrupts nothing: it gets another, until it has
/// looked.
#[allow(unsafe_code)]
fn tell_again() {
    let Some(timer) = TIMER.load(Ordering::Acquire).checked_sub(1) else {
        return;
    };
    let once = libc::itimerspec {
        it_interval: libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: AGAIN,
    };
    // SAFETY: timer_settime is async-signal-safe (signal-safety(7)), and the timer is never deleted.
    keeping_errno(|| unsafe {
        libc::timer_settime(timer as libc::timer_t, 0, &raw const once, std::ptr::null_mut());
    });
}

/// What a signal interrupts finds errno as it left it.
#[allow(unsafe_code)]
fn keeping_errno(call: impl FnOnce()) {
    // SAFETY: it asks for nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is this thread's own, for as long as the thread lives.
    let before = unsafe { *errno };
    call();
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// A timer that sends this thread SIGTERM, the one that serves; it is set when it is needed. Without one, which is when the user has
/// too many signals under way (`RLIMIT_SIGPENDING`), a child is told once.
#[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
fn make_timer() {
    // SAFETY: an all-zero sigevent is a valid one; the call reads it, and writes the number only.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_notify_thread_id = gettid().as_raw_nonzero().get();
        event.sigev_signo = libc::SIGTERM;
        let mut timer: libc::timer_t = std::ptr::null_mut();
        if libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) == 0 {
            TIMER.store((timer as usize).wrapping_add(1), Ordering::Release);
        }
    }
}

extern "C" fn on_term(_: libc::c_int) {
    tell(1);
}

extern "C" fn on_cut(_: libc::c_int) {
    tell(2);
}

#[allow(unsafe_code)]
extern "C" fn on_died(_: libc::c_int) {
    let fd = DIED.load(Ordering::Acquire);
    // SAFETY: send is async-signal-safe (signal-safety(7)) and reads one byte of a constant. A full socket means that the news is
    // under way already.
    keeping_errno(|| unsafe {
        libc::send(
            fd,
            b"x".as_ptr().cast(),
            1,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        );
    });
}

/// Without `SA_RESTART`: a blocked call is to end, so that its thread looks around.
#[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
fn handle(signal: libc::c_int, handler: libc::sighandler_t) {
    // SAFETY: an all-zero sigaction is a valid one with no flags and no mask; the handlers above are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// The acceptor: a terminal's and a service manager's signals are for the calling process, which passes on what they
/// mean. Returns where a byte arrives when children have died.
pub(super) fn acceptor() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (read, write) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The handler's, for as long as the process lives.
    DIED.store(write.into_raw_fd(), Ordering::Release);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        handle(signal, libc::SIG_IGN);
    }
    handle(libc::SIGCHLD, on_died as *const () as libc::sighandler_t);
    let_through(libc::SIGCHLD);
    Ok(read)
}

/// The calling program may have blocked it, to wait for it by signalfd(2) or sigwait(3); what else it has blocked stays so.
#[allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]
fn let_through(signal: libc::c_int) {
    // SAFETY: an all-zero set is made an empty one before it is used.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// A child, which serves `own`: `SIGTERM` says that the server drains, or that the acceptor has died, `SIGUSR2` that it is over.
pub(super) fn child(acceptor: Pid, own: Arc<Entry>) {
    OWN.store(Arc::into_raw(own).cast_mut(), Ordering::Release);
    handle(libc::SIGCHLD, libc::SIG_DFL);
    handle(libc::SIGTERM, on_term as *const () as libc::sighandler_t);
    handle(libc::SIGUSR2, on_cut as *const () as libc::sighandler_t);
    make_timer();
    let_through(libc::SIGTERM);
    let_through(libc::SIGUSR2);
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    if getppid() != Some(acceptor) {
        on_term(libc::SIGTERM); // it has died already
    }
}

/// Closes a descriptor that a forked process has inherited and whose owner it never runs.
#[allow(unsafe_code)]
pub(super) fn close(fd: RawFd) {
    // SAFETY: in this process nobody uses or closes it any more: its owner is on the stack of the forking function,
    // to which a forked process never returns.
    unsafe { rustix::io::close(fd) }
}
