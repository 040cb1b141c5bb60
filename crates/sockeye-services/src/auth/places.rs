//! Places of those who are about to log in: so many in all, and so many for each address.
//!
//! When there are no more, who has said nothing for the longest time gives way: a program that means to log in says so at once.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// How many may be about to log in at once, in one process: their buffers are 16 MiB then.
pub const MAX_LOGGING_IN: usize = 2048;
/// The same of one address, an IPv6 site, once half of all places are taken: there may be many people behind one, and it fills no more
/// than half. On this machine there is none.
pub const MAX_FROM_ONE: usize = 64;

/// An address that counts; none for this machine.
pub(super) type Whence = Option<Vec<u8>>;

struct Taken {
    whence: Whence,
    /// As long as its peer hasn't said anything.
    silent: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
struct Book {
    latest: u64,
    /// By number, in the order in which they came.
    taken: BTreeMap<u64, Taken>,
}

/// All of a listener's.
pub(super) struct Places {
    book: Mutex<Book>,
    most: usize,
}

impl Places {
    pub(super) fn new() -> Self {
        Places::of(MAX_LOGGING_IN)
    }

    pub(super) fn of(most: usize) -> Self {
        Places {
            book: Mutex::default(),
            most,
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing that can panic runs under this lock.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, and what tells its holder to give way; none where all are taken by peers who have said something.
    pub(super) fn take(&self, whence: Whence) -> Option<(Place<'_>, GiveWay)> {
        let mut book = self.book();
        let of_its = |taken: &Taken| whence.is_some() && taken.whence == whence;
        let from_one = book.taken.values().filter(|taken| of_its(taken)).count();
        let whose: Option<&dyn Fn(&Taken) -> bool> = match (from_one, book.taken.len()) {
            (MAX_FROM_ONE.., taken) if taken >= self.most / 2 => Some(&of_its),
            (_, taken) if taken >= self.most => Some(&|_| true),
            _ => None,
        };
        if let Some(whose) = whose {
            let mut silent = book
                .taken
                .iter()
                .filter(|(_, taken)| taken.silent.is_some() && whose(taken));
            let oldest = *silent.next()?.0;
            let leaves = book.taken.remove(&oldest).and_then(|taken| taken.silent);
            let _ = leaves?.send(()); // it may be about to leave
        }
        let (tell, told) = oneshot::channel();
        book.latest += 1;
        let number = book.latest;
        let silent = Some(tell);
        book.taken.insert(number, Taken { whence, silent });
        let place = Place { places: self, number };
        Some((place, GiveWay(Some(told))))
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Places")
    }
}

/// One of them, for as long as it is held.
pub(super) struct Place<'a> {
    places: &'a Places,
    number: u64,
}

impl Place<'_> {
    /// The peer has said something: it keeps its place.
    pub(super) fn heard(&self) {
        if let Some(taken) = self.places.book().taken.get_mut(&self.number) {
            taken.silent = None;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.places.book().taken.remove(&self.number);
    }
}

/// Comes to its end when the place is needed for another; never, once the peer has said something.
pub(super) struct GiveWay(Option<oneshot::Receiver<()>>);

impl GiveWay {
    /// What comes of the work, unless the place is needed for another.
    pub(super) async fn unless<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let first = poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => work.as_mut().poll(cx).map(Some),
        });
        first.await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let told = self.0.as_mut().map(|told| Pin::new(told).poll(cx));
        match told {
            Some(Poll::Ready(Ok(()))) => Poll::Ready(()),
            Some(Poll::Ready(Err(_))) => {
                self.0 = None;
                Poll::Pending
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn must_leave(told: &mut GiveWay) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        told.poll(&mut cx).is_ready()
    }

    fn at(number: usize) -> Whence {
        Some(number.to_le_bytes().to_vec())
    }

    #[test]
    fn when_all_are_taken_the_oldest_silent_one_gives_way() {
        let places = Places::of(3);
        let (first, mut tell_first) = places.take(at(1)).expect("it is free");
        first.heard();
        let (second, mut tell_second) = places.take(at(2)).expect("it is free");
        let (third, mut tell_third) = places.take(None).expect("it is free");
        let (fourth, mut tell_fourth) = places.take(at(4)).expect("the second gives way");
        let told = [
            &mut tell_first,
            &mut tell_second,
            &mut tell_third,
            &mut tell_fourth,
        ];
        assert_eq!(told.map(must_leave), [false, true, false, false]);
        third.heard();
        fourth.heard();
        assert!(places.take(at(5)).is_none(), "all of them have said something");
        drop(second); // who gave way has left nothing to give back
        assert!(places.take(at(5)).is_none());
        drop(first);
        assert!(places.take(at(5)).is_some());
    }

    #[test]
    fn an_address_has_so_many_and_takes_none_of_the_others() {
        let places = Places::of(2 * (MAX_FROM_ONE + 1));
        let (_other, mut tell_other) = places.take(at(2)).expect("it is free");
        let mut held: Vec<_> = (0..MAX_FROM_ONE)
            .map(|_| places.take(at(1)).expect("it is free"))
            .collect();
        let _one_more = places
            .take(at(1))
            .expect("its oldest gives way, for half of all are taken");
        assert!(must_leave(&mut held[0].1) && !must_leave(&mut held[1].1));
        for (place, _) in &held {
            place.heard();
        }
        let _last = places.take(at(1)).expect("the one that came later gives way");
        assert!(!must_leave(&mut tell_other));
        let here: Vec<_> = (0..2 * MAX_FROM_ONE).map(|_| places.take(None)).collect();
        assert!(here.iter().all(Option::is_some), "this machine is none");
    }

    #[test]
    fn while_most_are_free_an_address_has_more() {
        let places = Places::new();
        let mut held: Vec<_> = (0..MAX_LOGGING_IN / 2)
            .map(|_| places.take(at(1)).expect("it is free"))
            .collect();
        assert!(!held.iter_mut().any(|(_, tell)| must_leave(tell)));
        held.iter().for_each(|(place, _)| place.heard());
        assert!(places.take(at(1)).is_none() && places.take(at(2)).is_some());
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let places = Places::new();
        let held: Vec<_> = (0..MAX_LOGGING_IN)
            .map(|number| places.take(at(number)).expect("it is free"))
            .collect();
        held.iter().for_each(|(place, _)| place.heard());
        assert!(places.take(at(MAX_LOGGING_IN)).is_none());
        drop(held);
        assert!(places.take(at(MAX_LOGGING_IN)).is_some());
        assert!(places.book().taken.is_empty());
    }
}
