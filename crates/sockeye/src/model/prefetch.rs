//! What will be touched soon is asked for now: it comes into the cache while something else is done.
//!
//! With thousands of connections none of what the next one needs is in the cache, and an echo waits for a dozen lines of
//! it, one after the other. What was asked for in time costs nothing of that.

/// A line of the cache, on any processor of today.
const LINE: usize = 64;

/// The first lines of a value are asked for, this many at the most: the beginning of a future is what it uses most.
const MOST: usize = 12;

/// Asks for a value.
#[inline]
pub(super) fn prefetch<T: ?Sized>(value: &T) {
    let start: *const u8 = std::ptr::from_ref(value).cast();
    let lines = size_of_val(value).div_ceil(LINE).min(MOST);
    (0..lines).for_each(|line| prefetch_line(start.wrapping_add(line * LINE)));
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code)]
fn prefetch_line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch neither reads nor faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn prefetch_line(_: *const u8) {}
