//! The proof that the core needs no standard library: a static library with an allocator and a
//! panic handler of its own. If one of its dependencies linked `std`, there would be two panic
//! handlers, and the compiler would report an error (try it: `extern crate std;`).
#![no_std]

extern crate alloc;

use alloc::vec;
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};
use raft_proto::{ClusterId, Config, Event, Input, NodeId, Raft, Recovered, Start, Time};

/// Allocates from a fixed arena, and never frees.
struct Arena;

const SIZE: usize = 1 << 20;

#[repr(align(64))]
struct Memory(#[allow(dead_code)] [u8; SIZE]);

static mut MEMORY: Memory = Memory([0; SIZE]);
static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each call takes an aligned range of MEMORY that no other call gets. A request that does
// not fit is answered with null, as the trait demands.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let wanted = layout.size() + layout.align();
        let start = USED.fetch_add(wanted, Ordering::Relaxed);
        if layout.align() > 64 || start + wanted > SIZE {
            return core::ptr::null_mut();
        }
        let aligned = start.next_multiple_of(layout.align());
        // SAFETY: aligned + size is at most start + wanted, within MEMORY.
        unsafe { (&raw mut MEMORY).cast::<u8>().add(aligned) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Starts a node and gives it its first event, so that the linker needs the core. Returns the
/// number of actions.
#[unsafe(no_mangle)]
pub extern "C" fn first_step() -> usize {
    let start = Start::voters([NodeId(1)]);
    let config = Config::new(ClusterId(1), NodeId(1), start, 42);
    let event = Event {
        at: Time::ZERO,
        input: Input::Tick,
    };
    match Raft::new(config, Recovered::default()) {
        Ok(mut raft) => raft.step(event).len(),
        Err(_) => 0,
    }
}
